-- The card a customer shows at the till: of those that were not replaced the one that is good
-- longest, and of these the last issued. Whatever as_of: once it is blocked, so are the others.
with ranked as (
    select
        customer_id,
        case when is_last then card_id end as card_id,
        blocked_at,
        row_number() over (
            partition by customer_id
            order by
                case when is_last then 0 else 1 end,
                case when blocked_at is null then 0 else 1 end,
                blocked_at desc,
                case when issued_at is null then 1 else 0 end,
                issued_at desc,
                card_id desc
        ) as place
    from {{ ref("int_card_owners") }}
    where customer_id is not null
)

select
    customer_id,
    card_id,
    blocked_at
from ranked
where place = 1
