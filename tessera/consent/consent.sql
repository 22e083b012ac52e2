-- name: record
insert into consent
    (customer_id, channel, purpose, granted, recorded_at, origin, wording_version, proof)
values
    (:customer_id, :channel, :purpose, :granted, :recorded_at, :origin, :wording_version, :proof)
on conflict do nothing

-- name: words
-- The latest word per channel and purpose; of two of the same second the no holds.
select channel, purpose, granted, recorded_at
from (
    select
        *,
        row_number() over (
            partition by channel, purpose order by recorded_at desc, granted asc, consent_id desc
        ) as place
    from consent
    where customer_id = :customer_id
) as ranked
where place = 1

-- name: mart_words
select
    channel,
    purpose,
    granted::int as granted,
    strftime(recorded_at, '%Y-%m-%dT%H:%M:%S+00:00') as recorded_at
from consents
where customer_id = $customer_id

-- name: withdraw_by_event
insert into consent (customer_id, channel, purpose, granted, recorded_at, origin, noted_at)
select customer_id, channel, 'marketing', 0, :at, :origin, :noted_at from outbox where send_key = :send_key
on conflict do nothing

-- name: suppress
-- The earliest instant of a cause stays, whatever order the events arrive in; what was lifted stays so.
insert into suppression (address_hash, channel, scope, cause, since)
select :address_hash, :channel, :scope, :cause, :since
where not exists (
    select 1 from suppression_lift
    where
        address_hash = :address_hash and channel = :channel and cause = :cause
        and lifted_at >= :since
)
on conflict (address_hash, channel, scope, cause) do update
set since = excluded.since
where excluded.since < suppression.since

-- name: lift
insert into suppression_lift (address_hash, channel, cause, lifted_at)
values (:address_hash, :channel, :cause, :at)
on conflict (address_hash, channel, cause) do update
set lifted_at = excluded.lifted_at
where excluded.lifted_at > suppression_lift.lifted_at

-- name: unsuppress
delete from suppression
where address_hash = :address_hash and channel = :channel and cause = :cause and since <= :at

-- name: suppressed
select scope, cause, since from suppression where address_hash = :address_hash and channel = :channel

-- name: prefer
insert into preference (customer_id, name, value, recorded_at)
values (:customer_id, :name, :value, :at)

-- name: preferences
select name, value from current_preference where customer_id = :customer_id

-- name: guard
-- By the time things happened, not by when they were told: a late batch counts where it belongs.
select
    sum(case when provider_event.event = 'delivered' then 1 else 0 end) as delivered,
    count(
        distinct case when provider_event.event = 'spamreport' then provider_event.send_key end
    ) as complaints
from provider_event
inner join outbox on provider_event.send_key = outbox.send_key
where
    provider_event.event in ('delivered', 'spamreport')
    and provider_event.occurred_at > :since
    and provider_event.occurred_at <= :until
    and outbox.purpose = 'marketing'
