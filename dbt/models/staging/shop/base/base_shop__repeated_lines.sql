{{ config(materialized="incremental", unique_key="transaction_id") }}

-- depends_on: {{ ref("base_shop__receipt_parts") }}

-- A line can only be told of twice where more than one file tells of its receipt: within a file
-- keys are unique, which the door checks.
with receipts as (
    select distinct split.transaction_id
    from {{ ref("base_shop__split_receipts") }} as split
    {% if is_incremental() %}
    inner join {{ ref("base_shop__receipt_parts") }} as parts
        on split.transaction_id = parts.transaction_id and {{ is_in_new_file("transactions") }}
    {% endif %}
    where split.files > 1
)

select
    lines.transaction_id,
    lines.line_id,
    lines.card_id,
    lines.store_id,
    lines.product_id,
    lines.currency,
    lines.kind,
    lines.quantity,
    lines.amount,
    lines.discount,
    lines.row_number,
    lines.file_id,
    row_number() over (
        partition by lines.transaction_id, lines.line_id
        order by lines.file_id desc
    ) > 1 as is_superseded,
    lines.sold_at
from {{ ref("base_shop__transactions") }} as lines
inner join receipts on lines.transaction_id = receipts.transaction_id
