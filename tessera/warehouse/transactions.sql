-- The mart of receipt lines, put together when it is read: whose card it was may change for lines
-- long past, and not one of them is written again for it.
create view transactions as
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
    coalesce(card_owners.customer_id, lines.card_id) as customer_id,
    lines.file_id
from (from receipt_lines union all by name from packed_lines) as lines
left join card_owners on lines.card_id = card_owners.card_id
left join superseded_lines as superseded
    on lines.file_id = superseded.file_id and lines._row_number = superseded.row_number
where superseded.file_id is null
