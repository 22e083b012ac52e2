{{ config(tags=["daily", "report"]) }}

-- Of those who first bought in a month, how many bought in each month after it. The month under way
-- is left out: it would look like leaving.
with visits as (
    select
        customer_id,
        {{ month_after("visited_on", 0) }} as month_on,
        {{ month_after("min(visited_on) over (partition by customer_id)", 0) }} as cohort_on
    from {{ ref("int_customer_visits") }}
),

counted as (
    select
        cohort_on,
        month_on,
        count(distinct customer_id) as active
    from visits
    where
        month_on < {{ month_after(business_date(), 0) }}
        and cohort_on >= {{ month_after(business_date(), -12) }}
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
