-- Whatever is carried over from earlier builds, customers' figures add up to what the receipts of
-- cards before as_of say. Money is compared where a shop has one currency; lines always.
with receipts as (
    select
        coalesce(sum(lines), 0) as lines,
        coalesce(sum(case when kind = 'sale' then 1 else 0 end), 0) as receipts,
        coalesce(sum(amount), 0) as revenue,
        count(distinct currency) as currencies
    from {{ ref("int_receipt_parts") }}
    where card_id is not null and sold_at < {{ as_of() }}
),

customers as (
    select
        coalesce(sum(lines), 0) as lines,
        coalesce(sum(receipts), 0) as receipts,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref("customers") }}
)

select
    receipts.lines as lines_of_receipts,
    customers.lines as lines_of_customers,
    receipts.receipts,
    customers.receipts as receipts_of_customers,
    receipts.revenue,
    customers.revenue as revenue_of_customers
from receipts
cross join customers
where
    receipts.lines <> customers.lines
    or receipts.receipts <> customers.receipts
    or (receipts.currencies <= 1 and receipts.revenue <> customers.revenue)
