select
    card_id,
    customer_id,
    is_last,
    blocked_at
from {{ ref("int_card_owners") }}
where customer_id is not null
