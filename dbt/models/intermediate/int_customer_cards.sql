-- The card a customer shows at the till: the last issued of those neither replaced nor blocked.
with ranked as (
    select
        customer_id,
        case when is_live then card_id end as card_id,
        row_number() over (
            partition by customer_id
            order by
                case when is_live then 0 else 1 end,
                case when issued_at is null then 1 else 0 end,
                issued_at desc,
                card_id desc
        ) as place
    from {{ ref("int_card_owners") }}
    where customer_id is not null
)

select
    customer_id,
    card_id
from ranked
where place = 1
