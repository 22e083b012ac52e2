{{
    config(
        materialized="incremental",
        incremental_strategy="append",
        pre_hook="{{ forget_touched() }}",
    )
}}

with parts as (
    {{ with_customer(ref("int_receipt_parts")) }}
),

days as (
    -- A second receipt on a day is no new visit.
    select distinct
        customer_id,
        sold_on
    from parts
    where kind = 'sale' and sold_at < {{ as_of() }}
),

numbered as (
    select
        customer_id,
        row_number() over (partition by customer_id order by sold_on) as visit,
        sold_on as visited_on,
        lag(sold_on) over (partition by customer_id order by sold_on) as previously_on,
        first_value(sold_on) over (partition by customer_id order by sold_on) as first_on
    from days
)

select
    customer_id,
    visit,
    visited_on,
    previously_on,
    first_on,
    previously_on is null
    or {{ month_of("previously_on") }} < {{ month_of("visited_on") }} as is_first_of_month
from numbered
