{{ config(tags=["daily"]) }}

-- What became of the marketing messages of the last 90 days before as_of, and how many of them came
-- after the last one that was read. The planner's fatigue levels look at the same in the store.
with reads as (
    select
        send_key,
        max(occurred_at) as read_at,
        max(case when event = 'click' then 1 else 0 end) as is_clicked
    from {{ ref("stg_engine__message_events") }}
    where event in ('open', 'click') and occurred_at < {{ as_of() }}
    group by send_key
),

messages as (
    select
        {{ person_of("messages") }} as customer_id,
        messages.send_at,
        reads.read_at,
        reads.is_clicked
    from {{ ref("stg_engine__messages") }} as messages
    left join reads on messages.send_key = reads.send_key
    {{ with_person("messages") }}
    where
        messages.purpose = 'marketing'
        and {{ has_left("messages.state") }}
        and messages.send_at < {{ as_of() }}
        and messages.send_at >= {{ instant_days_after(as_of(), -90) }}
),

last_reads as (
    select
        customer_id,
        max(read_at) as read_at
    from messages
    group by customer_id
)

select
    messages.customer_id,
    count(*) as messages_received,
    count(messages.read_at) as messages_opened,
    cast(coalesce(sum(messages.is_clicked), 0) as bigint) as messages_clicked,
    count(
        case when last_reads.read_at is null or messages.send_at > last_reads.read_at then 1 end
    ) as messages_unread,
    max({{ local_date("messages.read_at") }}) as last_read_on
from messages
inner join last_reads on messages.customer_id = last_reads.customer_id
group by messages.customer_id
