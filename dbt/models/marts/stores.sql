select
    store_id,
    name,
    city,
    country,
    timezone,
    opened_on
from {{ ref("stg_shop__stores") }}
