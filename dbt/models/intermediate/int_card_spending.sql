{{ config(materialized="incremental", unique_key=["card_id", "category"], tags=["daily"]) }}

-- depends_on: {{ ref("int_changed_spending") }}
with amounts as (
    {% if is_partial() %}
    select * from {{ ref("int_changed_spending") }}
    union all
    select before.* from {{ this }} as before
    inner join {{ ref("int_changed_spending") }} as changed
        on before.card_id = changed.card_id and before.category = changed.category
    {% else %}
    select
        lines.card_id,
        products.category,
        lines.amount
    from {{ ref("stg_shop__transactions") }} as lines
    inner join {{ ref("int_product_categories") }} as products
        on lines.product_id = products.product_id
    where
        lines.card_id is not null
        and lines.sold_at < {{ as_of() }}
        and products.category is not null
    {% endif %}
)

select
    card_id,
    category,
    cast(sum(amount) as bigint) as amount
from amounts
group by card_id, category
