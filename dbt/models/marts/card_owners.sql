select
    card_id,
    customer_id,
    is_live
from {{ ref("int_card_owners") }}
where customer_id is not null
