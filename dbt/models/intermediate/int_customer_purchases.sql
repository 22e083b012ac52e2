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

counted as (
    select
        customer_id,
        currency,
        kind,
        case when sold_at < {{ as_of() }} then 1 else 0 end as is_counted,
        case when kind = 'sale' and sold_at < {{ as_of() }} then 1 end as is_sale,
        case when kind = 'return' and sold_at < {{ as_of() }} then 1 end as is_return,
        lines,
        units,
        amount,
        discount,
        sold_on,
        sold_at
    from parts
),

by_currency as (
    select
        customer_id,
        currency,
        count(*) as known_parts,
        sum(is_counted) as counted_parts,
        sum(case when kind = 'sale' then 1 else 0 end) as known_receipts,
        count(is_sale) as receipts,
        count(is_return) as returned_receipts,
        sum(is_counted * lines) as lines,
        sum(is_counted * units) as units,
        sum(is_counted * amount) as revenue,
        sum(is_sale * amount) as sales,
        sum(is_sale * discount) as discount,
        min(case when is_sale = 1 then sold_at end) as first_purchase_at,
        max(case when is_sale = 1 then sold_at end) as last_purchase_at,
        min(case when is_sale = 1 then sold_on end) as first_purchase_on,
        max(case when is_sale = 1 then sold_on end) as last_purchase_on
    from counted
    group by customer_id, currency
),

ranked as (
    select
        *,
        -- Of currencies with as many, and of none, one with anything paid or returned by now.
        row_number() over (
            partition by customer_id order by receipts desc, counted_parts desc, currency asc
        ) as place
    from by_currency
)

-- Money of different currencies is not added up: a customer's is in the one of most receipts.
select
    customer_id,
    max(case when place = 1 then currency end) as currency,
    cast(sum(known_parts) as bigint) as known_parts,
    cast(sum(known_receipts) as bigint) as known_receipts,
    cast(sum(receipts) as bigint) as receipts,
    cast(sum(returned_receipts) as bigint) as returned_receipts,
    cast(sum(lines) as bigint) as lines,
    cast(sum(units) as decimal(18, 3)) as units,
    cast(sum(case when place = 1 then revenue end) as bigint) as revenue,
    cast(sum(case when place = 1 then sales end) as bigint) as sales,
    cast(sum(case when place = 1 then discount end) as bigint) as discount,
    min(first_purchase_on) as first_purchase_on,
    max(last_purchase_on) as last_purchase_on,
    min(first_purchase_at) as first_purchase_at,
    max(last_purchase_at) as last_purchase_at
from ranked
group by customer_id
