{{ config(tags=["daily"]) }}

-- What happened to the programme's points in each month before this day, and what members could
-- still spend when it closed: what is held for somebody counts, what they owe is taken off. A month
-- in which nothing happened has what the one before it left.
{% set worth = var("worth") %}
with transfers as (
    select
        *,
        {{ month_of("business_date") }} as month
    from {{ ref("stg_engine__point_transfers") }}
    where business_date < {{ business_date() }}
),

moved as (
    select
        programme,
        month,
        sum(case when debit = 'system:programme:issuance' then amount else 0 end) as issued,
        sum(case when kind = 'activate' then amount else 0 end) as activated,
        sum(
            case
                when credit = 'system:programme:redeemed' then amount
                when debit = 'system:programme:redeemed' then -amount
                else 0
            end
        ) as redeemed,
        sum(
            case
                when credit = 'system:programme:breakage' then amount
                when debit = 'system:programme:breakage' then -amount
                else 0
            end
        ) as expired,
        sum(case when credit = 'system:programme:issuance' then amount else 0 end) as clawed_back
    from transfers
    group by programme, month
),

begun as (
    select
        programme,
        min(month) as month
    from transfers
    group by programme
),

calendar as (
    select
        programme,
        {{ months_from("month", days_after(business_date(), -1)) }} as month
    from begun
),

months as (
    select
        calendar.programme,
        calendar.month,
        coalesce(moved.issued, 0) as issued,
        coalesce(moved.activated, 0) as activated,
        coalesce(moved.redeemed, 0) as redeemed,
        coalesce(moved.expired, 0) as expired,
        coalesce(moved.clawed_back, 0) as clawed_back
    from calendar
    left join moved
        on calendar.programme = moved.programme and calendar.month = moved.month
),

closed as (
    select
        *,
        sum(issued - redeemed - expired - clawed_back) over (
            partition by programme order by month
        ) as outstanding
    from months
)

select
    programme,
    month,
    cast(issued as bigint) as issued,
    cast(activated as bigint) as activated,
    cast(redeemed as bigint) as redeemed,
    cast(expired as bigint) as expired,
    cast(clawed_back as bigint) as clawed_back,
    cast(outstanding as bigint) as outstanding,
    case
        when programme = '{{ worth.programme }}' then {{ worth_of("outstanding") }}
    end as liability,
    {% if worth.currency | default("any") == "any" %}
    cast(null as varchar) as currency
    {% else %}
    case when programme = '{{ worth.programme }}' then '{{ worth.currency }}' end as currency
    {% endif %}
from closed
