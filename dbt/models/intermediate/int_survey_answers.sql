{{ config(materialized="view") }}

-- What people answered when asked how likely they are to recommend the shop, at whatever time; a
-- prospect's answer is the customer's whom the prospect became.
select
    interactions.interaction_id,
    coalesce(interactions.customer_id, prospects.customer_id) as customer_id,
    interactions.score,
    interactions.occurred_at
from {{ ref("int_interactions") }} as interactions
left join {{ ref("int_prospects") }} as prospects
    on interactions.prospect_id = prospects.prospect_id
where interactions.kind = 'survey' and interactions.score is not null
