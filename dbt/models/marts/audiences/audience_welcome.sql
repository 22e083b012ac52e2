{{ config(tags=["daily"]) }}

-- Registered customers with an e-mail address who joined in the last 14 days; who has no date of
-- joining, joined with the first purchase.
with members as (
    select
        customer_id,
        average_basket,
        coalesce(joined_at, first_purchase_at) as joined_at
    from {{ ref("customers") }}
    where is_registered and email is not null
)

select
    customer_id,
    'first' as occurrence,
    {{ local_date("joined_at") }} as entered_on,
    coalesce(average_basket, 0) as expected_value
from members
where
    joined_at < {{ as_of() }}
    and joined_at >= {{ instant_days_after(as_of(), -14) }}
