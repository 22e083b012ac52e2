{{ config(materialized="view") }}

-- Receipts of several files are added up again from the lines in force; all others stand as read.
with repeated as (
    select
        transaction_id,
        card_id,
        store_id,
        currency,
        kind,
        cast(count(*) as bigint) as lines,
        cast(sum(quantity) as decimal(18, 3)) as units,
        cast(sum(amount) as bigint) as amount,
        cast(coalesce(sum(discount), 0) as bigint) as discount,
        {{ local_date("min(sold_at)") }} as sold_on,
        min(sold_at) as sold_at
    from {{ ref("base_shop__repeated_lines") }}
    where not is_superseded
    group by transaction_id, card_id, store_id, currency, kind
),

split as (
    select transaction_id from {{ ref("base_shop__split_receipts") }}
    where files > 1
)

select
    parts.transaction_id,
    parts.card_id,
    parts.store_id,
    parts.currency,
    parts.kind,
    parts.lines,
    parts.units,
    parts.amount,
    parts.discount,
    parts.sold_on,
    parts.sold_at
from {{ ref("base_shop__receipt_parts") }} as parts
left join split on parts.transaction_id = split.transaction_id
where split.transaction_id is null
union all
select * from repeated
