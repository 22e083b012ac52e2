select
    card_id,
    customer_id
from {{ ref("int_card_owners") }}
where customer_id is not null
