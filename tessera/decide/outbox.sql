-- What the pass reads of the store, and the lock it holds meanwhile.

-- name: lock
select pg_advisory_xact_lock(7355610)

-- name: consents
select customer_id, purpose, recorded_at, granted from consent where channel = 'email'

-- name: suppressions
select address_hash, scope, cause from suppression where channel = 'email'

-- name: history
-- Messages of other days that a rule may ask about: near enough to count under a cap, of these
-- campaigns, or with this content.
select customer_id, campaign, step, occurrence, purpose, template, business_date, send_at, state
from outbox
where
    business_date <> :today
    and (send_at >= :since or campaign in ({campaigns}) or template in ({templates}))

-- name: today
select
    send_key, customer_id, household_id, campaign, campaign_version, step, occurrence, purpose,
    template, language, timezone, send_at, state
from outbox
where business_date = :today
