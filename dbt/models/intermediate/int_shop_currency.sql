{{ config(tags=["daily", "report"]) }}

-- The currency of most sales of the last 92 days, in which the shop's own figures are; and how much
-- of the price stays with the shop, as far as its products say.
with totals as (
    select
        currency,
        sum(receipts) as receipts,
        sum(margin) as margin,
        sum(revenue_of_known_margin) as revenue_of_known_margin
    from {{ ref("int_recent_sales") }}
    where scope = 'shop' and sold_on >= {{ days_after(business_date(), -92) }}
    group by currency
),

ranked as (
    select
        *,
        row_number() over (order by receipts desc, currency asc) as place
    from totals
)

select
    currency,
    cast(margin / nullif(cast(revenue_of_known_margin as double), 0) as double) as margin_rate
from ranked
where place = 1
