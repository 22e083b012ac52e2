{{ config(materialized="incremental", unique_key="card_id", tags=["daily"]) }}

-- depends_on: {{ ref("int_changed_spending") }}
with {% if is_partial() %} amounts as (
    select * from {{ ref("int_changed_spending") }}
    union all
    select before.* from {{ this }} as before
    where
        before.card_id in (
            select changed.card_id from {{ ref("int_changed_spending") }} as changed
        )
)

select
    card_id,
    category,
    cast(sum(amount) as bigint) as amount
from amounts
group by card_id, category
{% else %} {{ numbered_categories() }},

products as (
    select
        products.product_id,
        names.place
    from {{ ref("int_product_categories") }} as products
    inner join names on products.category = names.category
),

spent as (
    select
        lines.card_id,
        products.place,
        cast(sum(lines.amount) as bigint) as amount
    from {{ ref("stg_shop__transactions") }} as lines
    inner join products on lines.product_id = products.product_id
    where
        lines.card_id is not null
        and lines.sold_at < {{ as_of() }}
        and {{ is_in_known_file("transactions") }}
    group by lines.card_id, products.place
)

select
    spent.card_id,
    names.category,
    spent.amount
from spent
inner join names on spent.place = names.place
{% endif %}
