-- name: suppressions
select address_hash, scope from suppression
where channel = :channel and address_hash in (select value from {keys})

-- name: words
-- The live word of customers on what they want, from unsubscribe links and provider events; of who
-- was merged with them every no, and what was said since.
select customer_id, purpose, granted, recorded_at from consent
where channel = :channel and customer_id in (select value from {keys})
union all
select merged.into_customer_id, consent.purpose, consent.granted, consent.recorded_at
from person_merge as merged
inner join consent on merged.customer_id = consent.customer_id
where
    consent.channel = :channel and merged.is_in_force = 1
    and (consent.granted = 0 or consent.recorded_at > merged.recorded_at)
    and merged.into_customer_id in (select value from {keys})

-- name: mart_words
select
    customer_id,
    purpose,
    granted::int as granted,
    strftime(recorded_at, '%Y-%m-%dT%H:%M:%S+00:00') as recorded_at
from consents
where channel = $channel and customer_id in (select unnest($ids))

-- name: choices
-- What people chose that may stop a message: a break, or a topic less.
select customer_id, name, value from current_preference
where
    customer_id in (select value from {keys})
    and (name = 'paused_until' or name like 'topic:%')

-- name: complained
select customer_id, 'complaint_opened' as event, strftime(max(occurred_on), '%Y-%m-%d') as occurred_on
from customer_events
where event = 'complaint_opened' and customer_id in (select unnest($ids))
group by customer_id

-- name: clicked
-- Messages of journeys in which something was clicked.
select mine.send_key
from outbox as mine
inner join outbox as other
    on
        mine.customer_id = other.customer_id
        and mine.campaign = other.campaign
        and mine.occurrence = other.occurrence
inner join provider_event on other.send_key = provider_event.send_key
where provider_event.event = 'click' and mine.send_key in (select value from {keys})

-- name: worthless
select reward_grant.send_key
from reward_grant
inner join voucher on reward_grant.code = voucher.code
where voucher.withdrawn_at is not null and reward_grant.send_key in (select value from {keys})
