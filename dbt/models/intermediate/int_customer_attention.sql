{{ config(tags=["daily"]) }}
{% set zone = "coalesce(people.timezone, '" ~ var("timezone") ~ "')" %}

-- What became of the marketing messages of the last 90 days before as_of, and how many of them came
-- after the last one that was read. The planner's fatigue levels look at the same in the store. The
-- best hour is the one by the reader's clock at which most were read first, of equals the earlier:
-- of three messages and more, for fewer are chance.
with reads as (
    select
        send_key,
        max(occurred_at) as read_at,
        min(occurred_at) as first_read_at,
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
        reads.first_read_at,
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

hours as (
    select
        messages.customer_id,
        {{ hour_in("messages.first_read_at", zone) }} as hour,
        count(*) as reads,
        sum(count(*)) over (partition by messages.customer_id) as all_reads
    from messages
    left join {{ ref("int_people") }} as people on messages.customer_id = people.customer_id
    where messages.first_read_at is not null
    group by messages.customer_id, hour
),

best_hours as (
    select
        customer_id,
        hour,
        row_number() over (partition by customer_id order by reads desc, hour asc) as place
    from hours
    where all_reads >= 3
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
    max({{ local_date("messages.read_at") }}) as last_read_on,
    cast(max(best_hours.hour) as bigint) as best_hour
from messages
inner join last_reads on messages.customer_id = last_reads.customer_id
left join best_hours on messages.customer_id = best_hours.customer_id and best_hours.place = 1
group by messages.customer_id
