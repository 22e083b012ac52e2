{{ config(tags=["daily"]) }}

-- When people first answered in any way before as_of: opened or clicked a message, or spoke to the
-- shop. That the shop contacted them is no answer.
with answers as (
    select
        {{ person_of("messages") }} as customer_id,
        events.occurred_at
    from {{ ref("stg_engine__message_events") }} as events
    inner join {{ ref("stg_engine__messages") }} as messages on events.send_key = messages.send_key
    {{ with_person("messages") }}
    where events.event in ('open', 'click') and events.occurred_at < {{ as_of() }}
    union all
    select
        customer_id,
        occurred_at
    from {{ ref("int_interactions") }}
    where kind <> 'contact' and occurred_at < {{ as_of() }}
)

select
    customer_id,
    {{ local_date("min(occurred_at)") }} as engaged_on
from answers
where customer_id is not null
group by customer_id
