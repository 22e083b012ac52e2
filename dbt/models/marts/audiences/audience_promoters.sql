{{ config(tags=["daily"]) }}

-- Active customers who in the last 90 days were asked how likely they are to recommend the shop and
-- said 9 or 10, the last time they answered. One chance a year.
select
    customer_id,
    cast(extract(year from {{ business_date() }}) as varchar) as occurrence,
    {{ local_date("satisfaction_at") }} as entered_on,
    average_basket as expected_value
from {{ ref("customers") }}
where
    satisfaction_score >= 9
    and satisfaction_at >= {{ instant_days_after(as_of(), -90) }}
    and relationship_level = 'active'
