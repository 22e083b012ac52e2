{{
    config(
        materialized="incremental",
        incremental_strategy="append",
        pre_hook="{{ forget_days() }}",
        tags=["daily", "report"],
    )
}}

-- What was sold per day, shop-wide and by store, category, product and salesperson.
-- depends_on: {{ ref("int_changed_days") }}, {{ ref("int_recent_days") }}
with looked_at as (
    select first_on from {{ ref("int_recent_days") }}
),

products as (
    select
        product_id,
        category,
        currency,
        price - unit_margin as cost
    from {{ ref("stg_shop__products") }}
),

lines as (
    select
        transaction_id,
        store_id,
        product_id,
        salesperson_id,
        currency,
        quantity,
        amount,
        {{ quarter_hour("sold_at") }} as quarter
    from {{ ref("stg_shop__transactions") }}
    where
        sold_at < {{ as_of() }}
        and sold_at >= {{ first_moment() }}
),

quarters as (
    select distinct quarter from lines
),

clock as (
    select
        quarter,
        {{ local_date("quarter") }} as sold_on
    from quarters
),

recent as (
    select
        lines.transaction_id,
        lines.store_id,
        lines.product_id,
        lines.salesperson_id,
        lines.currency,
        clock.sold_on,
        lines.quantity as units,
        lines.amount as revenue,
        -- Goods cost the shelf price less the product's margin.
        case
            when coalesce(products.currency, lines.currency) = lines.currency
                then lines.quantity * products.cost
        end as cost
    from lines
    inner join clock on lines.quarter = clock.quarter
    left join products on lines.product_id = products.product_id
    where
        clock.sold_on >= (select looked_at.first_on from looked_at)
        and {{ is_changed_day("clock.sold_on") }}
),

receipts as (
    -- Mostly one row each: quicker to tell apart below than lines.
    select distinct
        transaction_id,
        sold_on,
        currency,
        store_id,
        salesperson_id,
        {{ quick_hash("transaction_id") }} as hashed
    from recent
),

-- Those of several rows, and a few that only share a hash with others, are told apart once more; of
-- all others every row is a receipt.
several as (
    select hashed from receipts
    group by hashed
    having count(*) > 1
),

single as (
    select
        sold_on,
        currency,
        store_id,
        salesperson_id,
        count(*) as receipts
    from receipts
    where hashed not in (select several.hashed from several)
    group by sold_on, currency, store_id, salesperson_id
),

{% set sums %}
        sum(units) as units,
        sum(revenue) as revenue,
        sum(cost) as cost,
        sum(revenue_of_known_margin) as revenue_of_known_margin
{% endset %}
{% set sums_of_lines = sums.replace(
    "(revenue_of_known_margin)", "(case when cost is not null then revenue end)"
) %}
places as (
    select
        sold_on,
        currency,
        store_id,
        salesperson_id,
        {{ sums_of_lines }}
    from recent
    group by sold_on, currency, store_id, salesperson_id
),

products_sold as (
    select
        sold_on,
        currency,
        product_id,
        {{ sums_of_lines }}
    from recent
    group by sold_on, currency, product_id
),

goods as (
    select
        products_sold.*,
        products.category
    from products_sold
    left join products on products_sold.product_id = products.product_id
),

{% set ids = {
    "shop": "'all'", "store": "store_id", "salesperson": "salesperson_id",
    "category": "category", "product": "product_id",
} %}
summed as (
    {% for scope, its_id in ids.items() %}
    select
        sold_on,
        '{{ scope }}' as scope,
        {{ its_id }} as scope_id,
        currency,
        {{ sums }}
    from {{ "goods" if scope in ("category", "product") else "places" }}
    group by sold_on, currency{{ ", " ~ its_id if scope != "shop" }}
    {{ "union all" if not loop.last }}
    {% endfor %}
),

told_apart as (
    {% for scope in ("shop", "store", "salesperson") %}
    select
        sold_on,
        '{{ scope }}' as scope,
        {{ ids[scope] }} as scope_id,
        currency,
        receipts
    from single
    union all
    select
        sold_on,
        '{{ scope }}' as scope,
        {{ ids[scope] }} as scope_id,
        currency,
        count(distinct transaction_id) as receipts
    from receipts
    where hashed in (select several.hashed from several)
    group by sold_on, currency{{ ", " ~ ids[scope] if scope != "shop" }}
    {{ "union all" if not loop.last }}
    {% endfor %}
),

counted as (
    select
        sold_on,
        scope,
        scope_id,
        currency,
        sum(receipts) as receipts
    from told_apart
    group by sold_on, scope, scope_id, currency
)

select
    summed.sold_on,
    summed.scope,
    summed.scope_id,
    summed.currency,
    cast(counted.receipts as bigint) as receipts,
    cast(summed.units as decimal(18, 3)) as units,
    cast(summed.revenue as bigint) as revenue,
    -- What is left of the price when the goods are paid.
    cast(summed.revenue_of_known_margin - summed.cost as bigint) as margin,
    cast(summed.revenue_of_known_margin as bigint) as revenue_of_known_margin
from summed
left join counted
    on
        summed.sold_on = counted.sold_on
        and summed.scope = counted.scope
        and summed.scope_id = counted.scope_id
        and summed.currency = counted.currency
where summed.scope_id is not null
