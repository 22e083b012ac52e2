select
    customer_id,
    last_purchase_at,
    days_since_last_purchase
from {{ ref("customers") }}
where last_purchase_at >= {{ as_of() }} or days_since_last_purchase < 0
