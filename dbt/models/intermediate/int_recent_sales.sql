{{ config(tags=["daily", "report"]) }}

-- What was sold per day, shop-wide and by store, category, product and salesperson: of the last 92
-- days, and of the days that targets under way or just over ask for.
with span as (
    select
        least(
            {{ days_after(business_date(), -92) }},
            coalesce(min(period_start), {{ business_date() }})
        ) as first_on
    from {{ ref("stg_shop__targets") }}
    where
        period_start < {{ business_date() }}
        and period_end >= {{ days_after(business_date(), -62) }}
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
        lines.transaction_id,
        lines.store_id,
        lines.product_id,
        lines.salesperson_id,
        lines.currency,
        lines.quantity,
        lines.amount,
        products.category,
        -- What is left of the price when the goods are paid: they cost the shelf price less the
        -- product's margin.
        case
            when coalesce(products.currency, lines.currency) = lines.currency
                then lines.amount - lines.quantity * products.cost
        end as margin,
        {{ local_date("lines.sold_at") }} as sold_on
    from {{ ref("stg_shop__transactions") }} as lines
    left join products on lines.product_id = products.product_id
    where
        lines.sold_at < {{ as_of() }}
        and {{ is_in_known_file("transactions") }}
        and lines.sold_at >= (select {{ instant_days_after("span.first_on", -1) }} from span)
),

recent as (
    select * from lines
    where sold_on >= (select span.first_on from span)
)

{% set scopes = {
    "shop": "'all'", "store": "store_id", "category": "category", "product": "product_id",
    "salesperson": "salesperson_id",
} %}
{% for scope, its_id in scopes.items() %}
{% set counted = "null" if scope in ("category", "product") else "count(distinct transaction_id)" %}
select
    sold_on,
    '{{ scope }}' as scope,
    {{ its_id }} as scope_id,
    currency,
    cast({{ counted }} as bigint) as receipts,
    cast(sum(quantity) as decimal(18, 3)) as units,
    cast(sum(amount) as bigint) as revenue,
    cast(sum(margin) as bigint) as margin,
    cast(sum(case when margin is not null then amount end) as bigint) as revenue_of_known_margin
from recent
{% if its_id != "'all'" %}where {{ its_id }} is not null{% endif %}
group by sold_on, {% if its_id != "'all'" %}{{ its_id }}, {% endif %}currency
{{ "union all" if not loop.last }}
{% endfor %}
