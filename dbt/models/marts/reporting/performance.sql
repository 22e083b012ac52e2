{{ config(tags=["daily", "report"]) }}

-- How stores, categories, products and salespeople did in the last four weeks, and in the four
-- before them.
with recent as (
    select
        *,
        case when scope = 'product' then scope_id end as product_id,
        case when scope = 'store' then scope_id end as store_id,
        case
            when sold_on >= {{ days_after(business_date(), -28) }} then 1 else 0
        end as is_latest
    from {{ ref("int_recent_sales") }}
    where
        sold_on >= {{ days_after(business_date(), -56) }}
        and currency in (select own.currency from {{ ref("int_shop_currency") }} as own)
)

select
    recent.scope,
    recent.scope_id,
    coalesce(max(products.name), max(stores.name)) as name,
    recent.currency,
    cast(sum(recent.is_latest * recent.receipts) as bigint) as receipts,
    cast(sum(recent.is_latest * recent.units) as decimal(18, 3)) as units,
    cast(sum(recent.is_latest * recent.revenue) as bigint) as revenue,
    cast(sum(recent.is_latest * recent.margin) as bigint) as margin,
    cast(sum((1 - recent.is_latest) * recent.revenue) as bigint) as revenue_before
from recent
left join {{ ref("products") }} as products
    on recent.product_id = products.product_id
left join {{ ref("stores") }} as stores on recent.store_id = stores.store_id
group by recent.scope, recent.scope_id, recent.currency
