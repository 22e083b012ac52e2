{{ config(tags=["daily"]) }}

-- When people first answered in any way before as_of: opened or clicked a message, or spoke to the
-- shop. That the shop contacted them is no answer.
with answers as (
    select
        coalesce(
            prospects.customer_id, merged.into_customer_id, messages.customer_id
        ) as customer_id,
        events.occurred_at
    from {{ ref("stg_engine__message_events") }} as events
    inner join {{ ref("stg_engine__messages") }} as messages on events.send_key = messages.send_key
    left join {{ ref("int_prospects") }} as prospects
        on messages.customer_id = {{ prospect_key("prospects.prospect_id") }}
    left join {{ ref("int_merged_customers") }} as merged
        on messages.customer_id = merged.customer_id
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
