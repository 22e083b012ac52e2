-- What the pass reads of the store.

-- name: consents
-- Also what was said under the number of somebody who was merged: every no, and what was said since.
select customer_id, channel, purpose, recorded_at, granted from consent
union all
select
    merged.into_customer_id, consent.channel, consent.purpose, consent.recorded_at, consent.granted
from person_merge as merged
inner join consent on merged.customer_id = consent.customer_id
where
    merged.is_in_force = 1
    and (consent.granted = 0 or consent.recorded_at > merged.recorded_at)

-- name: suppressions
select address_hash, channel, scope, cause from suppression

-- name: history
-- Messages of other days that a rule may ask about: near enough to count under a cap, of these
-- campaigns, or with this content; `all` where it is asked how tired of us somebody is. Who was late counts
-- from when the provider took the message. What is the same of many messages comes as one text, which is
-- read several times as fast.
select
    send_key,
    customer_id,
    occurrence,
    case when state = 'accepted' and state_at > send_at then state_at else send_at end as send_at,
    {kind} as kind
from outbox
where
    business_date <> :today
    and (:all or send_at >= :since or campaign in ({campaigns}) or template in ({templates}))

-- name: today
select
    send_key, customer_id, household_id, campaign, campaign_version, step, occurrence, purpose,
    channel, tags, template, variant, language, timezone, send_at, state, state_reason
from outbox
where business_date = :today

-- name: read_events
select send_key, event, occurred_at from provider_event where event in ('open', 'click')

-- name: preferences
select customer_id, name, value
from current_preference
where name in ('paused_until', 'frequency') or name like 'topic:%'

-- name: rewards_given
-- Also with messages that were erased since.
select reward_grant.reward, count(*) as given
from reward_grant
left join outbox on reward_grant.send_key = outbox.send_key
where coalesce(outbox.state, 'erased') not in ('cancelled', 'rejected')
group by reward_grant.reward
