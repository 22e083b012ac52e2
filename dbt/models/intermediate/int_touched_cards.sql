{{ config(tags=["daily"]) }}

-- The cards of customers whose figures may differ from the last green build's: those with a new or
-- corrected receipt, with one that `as_of` has passed in either direction, with a card that
-- changed hands, or with a product that changed category.
with new_receipts as (
    select distinct transaction_id from {{ ref("base_shop__receipt_parts") }}
    where {{ is_in_new_file("transactions") }}
),

cards as (
    select parts.card_id
    from {{ ref("base_shop__receipt_parts") }} as parts
    inner join new_receipts on parts.transaction_id = new_receipts.transaction_id
    union
    select card_id from {{ ref("base_shop__receipt_parts") }}
    where sold_at < {{ turned_until() }} and last_line_at >= {{ turned_from() }}
    union
    -- Without a new file of products there is no need to look at the lines.
    select lines.card_id
    from {{ ref("stg_shop__transactions") }} as lines
    inner join {{ ref("int_product_categories") }} as products
        on lines.product_id = products.product_id and products.changed_in = '{{ var("build") }}'
    where {{ "true" if new_files("products") else "false" }}
),

owned as (
    select * from {{ ref("int_card_owners") }}
    where customer_id is not null
),

changed_hands as (
    select * from {{ ref("int_card_owners") }}
    where changed_in = '{{ var("build") }}'
),

customers as (
    select coalesce(owned.customer_id, cards.card_id) as customer_id
    from cards
    left join owned on cards.card_id = owned.card_id
    where cards.card_id is not null
    union
    select coalesce(customer_id, card_id) from changed_hands
    union
    select coalesce(previous_customer_id, card_id) from changed_hands
)

select
    owned.card_id,
    owned.customer_id
from owned
inner join customers on owned.customer_id = customers.customer_id
where {{ is_known() }}
union
-- A card without an owner is its own customer; if it has one now, only the customer is left, to be
-- forgotten.
select
    case when owned.card_id is null then customers.customer_id end as card_id,
    customers.customer_id
from customers
left join owned on customers.customer_id = owned.card_id
where {{ is_known() }}
