{{ config(tags=["daily"]) }}

-- The first of the next 31 days on which points of a member end, and how many do on that day: those
-- that tills see, so not of a programme beside which this one was begun.
with ending as (
    select
        customer_id,
        expires_on,
        sum(remaining) as points
    from {{ ref("int_lots") }}
    where
        remaining > 0
        and programme = '{{ var("tiers").programme }}'
        and expires_on >= {{ business_date() }}
        and expires_on <= {{ days_after(business_date(), 31) }}
    group by customer_id, expires_on
),

ranked as (
    select
        *,
        row_number() over (partition by customer_id order by expires_on) as place
    from ending
)

select
    customer_id,
    cast(points as bigint) as points,
    expires_on as expire_on
from ranked
where place = 1
