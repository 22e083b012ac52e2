{{ config(materialized="view") }}

-- What passed between people and the shop, whichever of their numbers it was noted under, also of
-- prospects: it is the customer's whom the prospect became.
select
    coalesce(
        merged.into_customer_id, interactions.customer_id, prospects.customer_id
    ) as customer_id,
    interactions.interaction_id,
    interactions.prospect_id,
    interactions.kind,
    interactions.channel,
    interactions.occurred_at,
    interactions.topic,
    interactions.body,
    interactions.score,
    interactions.status
from {{ ref("stg_shop__interactions") }} as interactions
left join {{ ref("int_merged_customers") }} as merged
    on interactions.customer_id = merged.customer_id
left join {{ ref("int_prospects") }} as prospects
    on interactions.prospect_id = prospects.prospect_id
