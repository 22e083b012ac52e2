{{ config(tags=["daily"]) }}

-- Customers whose birthday the business date is; that of a 29 February falls on the 28th in years
-- without one.
select
    customer_id,
    cast(extract(year from {{ business_date() }}) as varchar) as occurrence,
    {{ business_date() }} as entered_on,
    coalesce(average_basket, 0) as expected_value
from {{ ref("customers") }}
where
    birth_date < {{ business_date() }}
    and (
        (
            extract(month from birth_date) = extract(month from {{ business_date() }})
            and extract(day from birth_date) = extract(day from {{ business_date() }})
        )
        or (
            extract(month from birth_date) = 2
            and extract(day from birth_date) = 29
            and extract(month from {{ business_date() }}) = 2
            and extract(day from {{ business_date() }}) = 28
            -- the day after is already in March
            and extract(month from {{ days_after(business_date(), 1) }}) = 3
        )
    )
