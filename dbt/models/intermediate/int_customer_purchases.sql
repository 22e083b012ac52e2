{{
    config(
        materialized="incremental",
        unique_key="customer_id",
        pre_hook="{{ forget_unless_gone_on_with('known.currencies > 1 or added.currency is distinct from known.currency') }}",
    )
}}

-- depends_on: {{ ref("int_added_receipts") }}
{% set receipt = [
    "currency", "kind", "lines", "units", "amount", "discount", "sold_on", "sold_at",
] %}
{% set figures = [
    "known_parts", "counted_parts", "known_receipts", "receipts", "returned_receipts", "lines", "units",
    "revenue", "sales", "discount",
] %}
with
{% if is_partial() %}
known as (
    select * from {{ this }}
    where {{ is_touched("customer_id") }}
),

{% endif %}
parts as (
    select
        customer_id,
        {% for column in receipt %}
        {{ column }},
        {% endfor %}
        true as is_new
    from (
        {{ with_customer(ref("int_receipt_parts"), known="known") }}
    ) as receipts
    {% if is_partial() %}
    union all
    select
        customer_id,
        {% for column in receipt %}
        {{ column }},
        {% endfor %}
        is_new
    from {{ ref("int_added_receipts") }}
    where customer_id in (select known.customer_id from known)
    {% endif %}
),

counted as (
    select
        customer_id,
        currency,
        kind,
        case when is_new then 1 else 0 end as is_new,
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

counted_by_currency as (
    select
        customer_id,
        currency,
        sum(is_new) as known_parts,
        sum(is_counted) as counted_parts,
        sum(case when kind = 'sale' then is_new else 0 end) as known_receipts,
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

{% if is_partial() %}
both_parts as (
    select * from counted_by_currency
    union all
    -- What is added to: all of it is in one currency.
    select
        customer_id,
        currency,
        {% for figure in figures %}
        {{ figure }},
        {% endfor %}
        first_purchase_at,
        last_purchase_at,
        first_purchase_on,
        last_purchase_on
    from known
    where
        customer_id in (select added.customer_id from {{ ref("int_added_receipts") }} as added)
),

by_currency as (
    select
        customer_id,
        currency,
        {% for figure in figures %}
        sum({{ figure }}) as {{ figure }},
        {% endfor %}
        min(first_purchase_at) as first_purchase_at,
        max(last_purchase_at) as last_purchase_at,
        min(first_purchase_on) as first_purchase_on,
        max(last_purchase_on) as last_purchase_on
    from both_parts
    group by customer_id, currency
),
{% else %}
by_currency as (
    select * from counted_by_currency
),
{% endif %}

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
    count(*) as currencies,
    cast(sum(known_parts) as bigint) as known_parts,
    cast(sum(counted_parts) as bigint) as counted_parts,
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
