-- What a home's store has recorded from one instant to another, and how a scratch store takes it.

-- name: events
select event_key, send_key, event, occurred_at, received_at, reason
from provider_event
where occurred_at >= :since and occurred_at < :until

-- name: consent
select customer_id, channel, purpose, granted, recorded_at, origin, wording_version
from consent
where recorded_at >= :since and recorded_at < :until

-- name: add_consent
insert into consent
    (customer_id, channel, purpose, granted, recorded_at, origin, wording_version)
values (:customer_id, :channel, :purpose, :granted, :recorded_at, :origin, :wording_version)
on conflict do nothing

-- name: suppression
select address_hash, channel, scope, cause, since
from suppression
where since >= :since and since < :until

-- name: add_suppression
insert into suppression (address_hash, channel, scope, cause, since)
values (:address_hash, :channel, :scope, :cause, :since)
on conflict do nothing
