{{ config(tags=["daily"]) }}

-- What each customer last said in their own words, before as_of: of what, and whether well or ill.
with ranked as (
    select
        coalesce(opinions.customer_id, prospects.customer_id) as customer_id,
        opinions.topic,
        opinions.sentiment,
        row_number() over (
            partition by coalesce(opinions.customer_id, prospects.customer_id)
            order by opinions.occurred_at desc, opinions.interaction_id desc
        ) as place
    from {{ ref("int_opinions") }} as opinions
    left join {{ ref("int_prospects") }} as prospects
        on opinions.prospect_id = prospects.prospect_id
    where opinions.occurred_at < {{ as_of() }}
)

select
    customer_id,
    topic,
    sentiment
from ranked
where place = 1 and customer_id is not null
