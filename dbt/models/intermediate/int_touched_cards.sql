{{ config(tags=["daily"]) }}

-- The cards of customers whose figures may differ from the last green build's: those with a new or
-- corrected receipt, with one that `as_of` has passed in either direction, with a card that
-- changed hands, or with a product that changed category. Of a customer who is gone on with, the
-- receipts that count from now on (int_added_receipts) are all that is new: nothing is told again,
-- taken back or somebody else's now.
with split as (
    select transaction_id from {{ ref("base_shop__split_receipts") }}
    where files > 1
),

cards as (
    select
        parts.card_id,
        split.transaction_id is null and {{ is_forward() }} as is_added_to
    from {{ ref("base_shop__receipt_parts") }} as parts
    left join split on parts.transaction_id = split.transaction_id
    where {{ is_in_new_file("transactions") }}
    union
    -- Whoever a receipt that is told again named before.
    select
        card_id,
        false as is_added_to
    from {{ ref("base_shop__repeated_lines") }}
    where
        transaction_id in (
            select parts.transaction_id from {{ ref("base_shop__receipt_parts") }} as parts
            where {{ is_in_new_file("transactions") }}
        )
    union
    select
        parts.card_id,
        split.transaction_id is null and {{ is_forward() }} as is_added_to
    from {{ ref("base_shop__receipt_parts") }} as parts
    left join split on parts.transaction_id = split.transaction_id
    where parts.sold_at < {{ turned_until() }} and parts.last_line_at >= {{ turned_from() }}
    union
    -- Without a new file of products there is no need to look at the lines.
    select
        lines.card_id,
        {{ is_forward() }} as is_added_to
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

found as (
    select
        coalesce(owned.customer_id, cards.card_id) as customer_id,
        cards.is_added_to
    from cards
    left join owned on cards.card_id = owned.card_id
    where cards.card_id is not null
    union
    select
        coalesce(customer_id, card_id) as customer_id,
        false as is_added_to
    from changed_hands
    union
    select
        coalesce(previous_customer_id, card_id) as customer_id,
        false as is_added_to
    from changed_hands
),

customers as (
    select
        customer_id,
        min(case when is_added_to then 1 else 0 end) = 1 as is_gone_on_with
    from found
    group by customer_id
)

select
    owned.card_id,
    owned.customer_id,
    customers.is_gone_on_with
from owned
inner join customers on owned.customer_id = customers.customer_id
where {{ is_known() }}
union
-- A card without an owner is its own customer; if it has one now, only the customer is left, to be
-- forgotten.
select
    case when owned.card_id is null then customers.customer_id end as card_id,
    customers.customer_id,
    customers.is_gone_on_with
from customers
left join owned on customers.customer_id = owned.card_id
where {{ is_known() }}
