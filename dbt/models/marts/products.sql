select
    product_id,
    name,
    category,
    subcategory,
    brand,
    price,
    unit_margin,
    currency
from {{ ref("stg_shop__products") }}
