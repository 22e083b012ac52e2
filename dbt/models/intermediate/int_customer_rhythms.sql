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

gaps as (
    select
        customer_id,
        sold_on,
        lag(sold_on) over (partition by customer_id order by sold_on) as previously_on
    from parts
    where kind = 'sale' and sold_at < {{ as_of() }}
)

select
    customer_id,
    cast(median({{ days_between("previously_on", "sold_on") }}) as decimal(9, 1))
        as median_days_between_purchases
from gaps
where previously_on < sold_on -- a second receipt on a day is no new visit
group by customer_id
