{{ config(tags=["daily"]) }}

-- Active customers whose next purchase is expected in the next three days, or was in the last two.
-- Who comes more than once a week needs no reminder.
select
    customer_id,
    cast(last_purchase_on as varchar) as occurrence,
    {{ days_after("expected_next_purchase_on", -3) }} as entered_on,
    average_basket as expected_value
from {{ ref("customers") }}
where
    relationship_level = 'active'
    and median_days_between_purchases >= 7
    and expected_next_purchase_on >= {{ days_after(business_date(), -2) }}
    and expected_next_purchase_on <= {{ days_after(business_date(), 3) }}
