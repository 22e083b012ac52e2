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

visits as (
    select
        customer_id,
        store_id,
        count(*) as receipts
    from parts
    where kind = 'sale' and store_id is not null and sold_at < {{ as_of() }}
    group by customer_id, store_id
),

-- Among stores of as many receipts the first by name, so that every build says the same.
places as (
    select
        customer_id,
        receipts,
        min(store_id) as store_id
    from visits
    group by customer_id, receipts
),

stores as (
    select
        customer_id,
        max_by(store_id, receipts) as favourite_store_id
    from places
    group by customer_id
),

-- Numbers are quicker to group by than names.
products as (
    select
        product_id,
        category,
        cast(dense_rank() over (order by category) as integer) as place
    from {{ ref("int_product_categories") }}
),

names as (
    select distinct
        place,
        category
    from products
),

lines as (
    {{ with_customer(ref("stg_shop__transactions")) }}
),

spent as (
    select
        lines.customer_id,
        products.place,
        cast(sum(lines.amount) as bigint) as amount
    from lines
    inner join products on lines.product_id = products.product_id
    where lines.sold_at < {{ as_of() }}
    group by lines.customer_id, products.place
    having sum(lines.amount) > 0
),

-- Of categories with as much spent, again the first by name.
categories as (
    select
        customer_id,
        max_by(place, amount * 1000000 - place) as place
    from spent
    group by customer_id
)

select
    coalesce(stores.customer_id, categories.customer_id) as customer_id,
    stores.favourite_store_id,
    names.category as favourite_category
from stores
full join categories on stores.customer_id = categories.customer_id
left join names on categories.place = names.place
