{{ config(tags=["daily"]) }}

-- Prospects with an e-mail address who were noted in the last 120 days and are no customers yet.
with prospects as (
    select
        customers.customer_id,
        {{ local_date("own.created_at") }} as noted_on
    from {{ ref("customers") }} as customers
    inner join {{ ref("int_prospects") }} as own
        on customers.prospect_id = own.prospect_id and own.is_own_person
    where customers.email is not null and customers.first_purchase_on is null
)

select
    customer_id,
    'first' as occurrence,
    noted_on as entered_on,
    cast(0 as bigint) as expected_value
from prospects
where noted_on >= {{ days_after(business_date(), -120) }}
