{{ config(tags=["daily", "report"]) }}

-- Of those who first bought in a month, how many bought in each month after it. The month under way
-- is left out: it would look like leaving.
with visits as (
    -- The first of each month is enough.
    select
        {{ month_of("first_on") }} as cohort_on,
        {{ month_of("visited_on") }} as month_on
    from {{ ref("int_customer_visits") }}
    where
        first_on >= {{ month_after(business_date(), -12) }}
        and visited_on < {{ month_of(business_date()) }}
        and (
            previously_on is null
            or {{ month_of("previously_on") }} < {{ month_of("visited_on") }}
        )
),

counted as (
    select
        cohort_on,
        month_on,
        count(*) as active
    from visits
    group by cohort_on, month_on
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
