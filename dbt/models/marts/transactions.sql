{{ config(materialized="view") }}

-- Whose a line is is looked up when it is read: a card that changes hands takes its history along,
-- and not one line has to be written again.
select
    lines.transaction_id,
    lines.line_id,
    lines.card_id,
    lines.store_id,
    lines.sold_at,
    lines.timezone,
    lines.product_id,
    lines.quantity,
    lines.amount,
    lines.discount,
    lines.coupon_code,
    lines.kind,
    lines.original_transaction_id,
    lines.salesperson_id,
    lines.currency,
    coalesce(owners.customer_id, lines.card_id) as customer_id,
    lines.file_id
from {{ ref("stg_shop__transactions") }} as lines
left join {{ ref("int_card_owners") }} as owners on lines.card_id = owners.card_id
