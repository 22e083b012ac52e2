-- What a simulation does on its days, and counts when they are done.

-- name: landed
-- In the store.
select count(*) from landed_file

-- name: approve
update approval set approved = recipients

-- name: heard
select event, count(*) as events from provider_event group by event order by event

-- name: messages
select customer_id, household_id, campaign, channel, purpose, tags, business_date, send_at
from outbox
where state in ('accepted', 'ambiguous', 'reconciled')

-- name: most
-- The most messages that one person, or one household, got in any span of so many hours. The
-- fullest span begins with a message, so spans that do not need not be looked at.
with message as (
    select
        case
            when $per = 'household' and household_id is not null then 'household ' || household_id
            else 'person ' || customer_id
        end as who,
        cast(left(send_at, 19) as timestamp) as send_at,
        cast(business_date as date) >= $first as is_ours
    from outbox
    where
        purpose = $purpose
        and ($channel is null or channel = $channel)
        and ($tag is null or list_contains(string_split(tags, ','), $tag))
),

span as (
    select
        beginning.who,
        beginning.send_at,
        count(*) as messages
    from (select distinct who, send_at from message) as beginning
    inner join message
        on
            beginning.who = message.who
            and message.send_at >= beginning.send_at
            and message.send_at < beginning.send_at + to_hours(cast($hours as integer))
    group by beginning.who, beginning.send_at
    having bool_or(message.is_ours)
)

select coalesce(max(messages), 0) from span
