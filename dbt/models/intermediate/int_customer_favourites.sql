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
names as (
    select
        category,
        cast(row_number() over (order by category) as integer) as place
    from (select distinct category from {{ ref("int_product_categories") }}) as categories
    where category is not null
),

amounts as (
    {{ with_customer(ref("int_card_spending")) }}
),

spent as (
    select
        amounts.customer_id,
        names.place,
        cast(sum(amounts.amount) as bigint) as amount
    from amounts
    inner join names on amounts.category = names.category
    group by amounts.customer_id, names.place
    having sum(amounts.amount) > 0
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
