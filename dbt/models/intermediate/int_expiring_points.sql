{{ config(tags=["daily"]) }}

-- Simple for now: points end with the month in which they were earned, so many months later, and
-- the oldest are spent first. What was earned before that and not spent ended in earlier months.
{% set months = var("points_expire_after_months") | int %}
with transfers as (
    select
        customer_id,
        business_date,
        case when credit like 'member:%:available' then amount else 0 end as earned,
        case when debit like 'member:%:available' then amount else 0 end as spent
    from {{ ref("stg_engine__point_transfers") }}
    where customer_id is not null and business_date < {{ business_date() }}
),

members as (
    select
        customer_id,
        sum(spent) as spent,
        sum(
            case
                when business_date < {{ month_after(business_date(), 1 - months) }} then earned
                else 0
            end
        ) as earned_until_end,
        sum(
            case
                when business_date < {{ month_after(business_date(), 0 - months) }} then earned
                else 0
            end
        ) as earned_until_last_end
    from transfers
    group by customer_id
)

select
    customer_id,
    cast(earned_until_end - greatest(spent, earned_until_last_end) as bigint) as points,
    {{ days_after(month_after(business_date(), 1), -1) }} as expire_on
from members
where earned_until_end > greatest(spent, earned_until_last_end)
