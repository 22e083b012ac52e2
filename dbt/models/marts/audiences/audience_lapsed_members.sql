{{ config(tags=["daily"]) }}

-- Customers who have been silent for 60 days, or sooner if that is more than three times their own
-- median gap (but at least 45 days); after a year they are no longer addressed.
with silent as (
    select
        customer_id,
        average_basket,
        last_purchase_on,
        days_since_last_purchase,
        {{ lapsed_after_days("median_days_between_purchases") }} as lapsed_after_days
    from {{ ref("customers") }}
    where days_since_last_purchase between 45 and 365
)

select
    customer_id,
    cast(last_purchase_on as varchar) as occurrence,
    {{ days_after("last_purchase_on", "lapsed_after_days") }} as entered_on,
    average_basket as expected_value
from silent
where days_since_last_purchase >= lapsed_after_days
