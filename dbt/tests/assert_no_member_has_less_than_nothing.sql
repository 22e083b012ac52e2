select
    programme,
    customer_id,
    bucket
from {{ ref("stg_engine__point_balances") }}
where balance < 0
