{{ config(materialized="incremental", unique_key="product_id") }}

with products as (
    select
        product_id,
        category
    from {{ ref("stg_shop__products") }}
    where category is not null
)

{% if is_incremental() %}
select
    coalesce(products.product_id, before.product_id) as product_id,
    products.category,
    before.category as previous_category,
    '{{ var("build") }}' as changed_in
from products
full join {{ this }} as before on products.product_id = before.product_id
where products.category is distinct from before.category
{% else %}
select
    product_id,
    category,
    cast(null as varchar) as previous_category,
    '{{ var("build") }}' as changed_in
from products
{% endif %}
