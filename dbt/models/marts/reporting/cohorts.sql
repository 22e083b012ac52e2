{{ config(tags=["daily", "report"]) }}

-- Of those who first bought in a month, how many bought in each month after it. The month under way
-- is left out: it would look like leaving.
with days as (
    -- Of few days the month is found sooner than of many visits.
    select
        first_on,
        visited_on,
        count(*) as active
    from {{ ref("int_customer_visits") }}
    where
        is_first_of_month
        and first_on >= {{ month_after(business_date(), -12) }}
        and visited_on < {{ month_of(business_date()) }}
    group by first_on, visited_on
),

counted as (
    select
        {{ month_of("first_on") }} as cohort_on,
        {{ month_of("visited_on") }} as month_on,
        cast(sum(active) as bigint) as active
    from days
    group by {{ month_of("first_on") }}, {{ month_of("visited_on") }}
)

select
    counted.cohort_on,
    cast({{ months_between("counted.cohort_on", "counted.month_on") }} as integer)
        as months_since,
    first.active as customers,
    counted.active
from counted
inner join counted as first
    on counted.cohort_on = first.cohort_on and first.cohort_on = first.month_on
