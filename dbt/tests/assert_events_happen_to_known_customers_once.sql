select
    customer_id,
    event,
    occurrence
from {{ ref("customer_events") }}
group by customer_id, event, occurrence
having count(*) > 1
