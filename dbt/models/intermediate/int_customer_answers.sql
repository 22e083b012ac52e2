{{ config(tags=["daily"]) }}

-- What people last answered, before as_of, when asked how likely they are to recommend the shop.
with answers as (
    select
        coalesce(interactions.customer_id, prospects.customer_id) as customer_id,
        interactions.interaction_id,
        interactions.score,
        interactions.occurred_at
    from {{ ref("int_interactions") }} as interactions
    left join {{ ref("int_prospects") }} as prospects
        on interactions.prospect_id = prospects.prospect_id
    where
        interactions.kind = 'survey'
        and interactions.score is not null
        and interactions.occurred_at < {{ as_of() }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id
            order by occurred_at desc, interaction_id desc
        ) as place
    from answers
    where customer_id is not null
)

select
    customer_id,
    score,
    occurred_at
from ranked
where place = 1
