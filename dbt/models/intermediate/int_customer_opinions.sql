{{ config(tags=["daily"]) }}

-- What each customer last said in their own words, before as_of: of what, and whether well or ill.
with ranked as (
    select
        customer_id,
        topic,
        sentiment,
        row_number() over (
            partition by customer_id
            order by occurred_at desc, interaction_id desc
        ) as place
    from {{ ref("int_opinions") }}
    where occurred_at < {{ as_of() }}
)

select
    customer_id,
    topic,
    sentiment
from ranked
where place = 1 and customer_id is not null
