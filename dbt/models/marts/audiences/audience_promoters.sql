{{ config(tags=["daily"]) }}

-- Active customers who in the last 90 days were asked how likely they are to recommend the shop and
-- said 9 or 10, the last time they answered. One chance a year.
with answers as (
    select
        customer_id,
        score,
        occurred_at,
        row_number() over (
            partition by customer_id
            order by occurred_at desc, interaction_id desc
        ) as place
    from {{ ref("stg_shop__interactions") }}
    where
        kind = 'survey'
        and score is not null
        and occurred_at < {{ as_of() }}
        and occurred_at >= {{ instant_days_after(as_of(), -90) }}
)

select
    customers.customer_id,
    cast(extract(year from {{ business_date() }}) as varchar) as occurrence,
    {{ local_date("answers.occurred_at") }} as entered_on,
    customers.average_basket as expected_value
from answers
inner join {{ ref("customers") }} as customers on answers.customer_id = customers.customer_id
where answers.place = 1 and answers.score >= 9 and customers.relationship_level = 'active'
