{{ config(materialized="incremental", unique_key="file_id") }}

with quarters as (
    select distinct {{ quarter_hour("sold_at") }} as quarter
    from {{ ref("base_shop__transactions") }}
    where {{ is_in_new_file("transactions") }}
),

clock as (
    select
        quarter,
        {{ local_date("quarter") }} as sold_on
    from quarters
),

parts as (
    -- What is alike in all lines of a receipt is a key here: smallest texts cost more to find.
    select
        file_id,
        transaction_id,
        card_id,
        store_id,
        currency,
        kind,
        count(*) as lines,
        sum(quantity) as units,
        sum(amount) as amount,
        sum(discount) as discount,
        min(sold_at) as sold_at,
        max(sold_at) as last_line_at
    from {{ ref("base_shop__transactions") }}
    where {{ is_in_new_file("transactions") }}
    group by file_id, transaction_id, card_id, store_id, currency, kind
)

select
    parts.transaction_id,
    parts.card_id,
    parts.store_id,
    parts.currency,
    parts.kind,
    cast(parts.file_id as bigint) as file_id,
    cast(parts.lines as bigint) as lines,
    cast(parts.units as decimal(18, 3)) as units,
    cast(parts.amount as bigint) as amount,
    cast(coalesce(parts.discount, 0) as bigint) as discount,
    clock.sold_on,
    parts.sold_at,
    parts.last_line_at
from parts
left join clock on {{ quarter_hour("parts.sold_at") }} = clock.quarter
