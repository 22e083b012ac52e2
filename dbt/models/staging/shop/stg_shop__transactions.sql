{{ config(materialized="view") }}

with lines as (
    select * from {{ ref("base_shop__transactions") }}
),

superseded as (
    select
        file_id,
        row_number
    from {{ ref("base_shop__repeated_lines") }}
    where is_superseded
)

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
    lines.row_number,
    lines.file_id
from lines
left join superseded
    on lines.file_id = superseded.file_id and lines.row_number = superseded.row_number
where superseded.file_id is null
