{{ config(tags=["daily"]) }}

-- What the build holds, in one row: the figures `tessera run` prints.
with lines as (
    select coalesce(sum(lines), 0) as lines from {{ ref("int_receipt_parts") }}
),

parts as (
    select count(*) as parts from {{ ref("base_shop__receipt_parts") }}
),

split as (
    -- Every receipt has one part, but for these.
    select coalesce(sum(parts - 1), 0) as further_parts from {{ ref("base_shop__split_receipts") }}
),

superseded as (
    select count(*) as lines from {{ ref("superseded_lines") }}
),

buyers as (
    select count(*) as customers from {{ ref("int_customer_purchases") }}
    where known_receipts > 0
),

known as (
    select count(*) as customers from {{ ref("customers") }}
    where prospect_id is null
)

select
    cast(lines.lines as bigint) as lines,
    cast(superseded.lines as bigint) as superseded_lines,
    cast(parts.parts - split.further_parts as bigint) as baskets,
    cast(known.customers as bigint) as customers,
    cast(buyers.customers as bigint) as customers_with_purchases
from lines
cross join parts
cross join split
cross join superseded
cross join buyers
cross join known
