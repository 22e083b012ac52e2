{{ config(materialized="view") }}

-- What people answered when asked how likely they are to recommend the shop, at whatever time.
select
    interaction_id,
    customer_id,
    score,
    occurred_at
from {{ ref("int_interactions") }}
where kind = 'survey' and score is not null
