{{ config(tags=["daily"]) }}

-- Customers who buy and whose favourite category is known, once in each week, which begins on
-- Monday.
select
    customer_id,
    cast({{ monday_of(business_date()) }} as varchar) as occurrence,
    {{ monday_of(business_date()) }} as entered_on,
    average_basket as expected_value
from {{ ref("customers") }}
where relationship_level in ('new', 'active') and favourite_category is not null
