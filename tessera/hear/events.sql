-- name: heard
select 1 from heard_file where content_hash = :hash

-- name: remember
insert into heard_file (content_hash, name, events, heard_at)
values (:hash, :name, :events, :at)
on conflict (content_hash) do nothing

-- name: suppress
-- The earliest cause stays, whatever order the events arrive in.
insert into suppression (address_hash, channel, scope, cause, since)
values (:address_hash, :channel, :scope, :cause, :since)
on conflict (address_hash, channel, scope) do update
set cause = excluded.cause, since = excluded.since
where
    excluded.since < suppression.since
    or (excluded.since = suppression.since and excluded.cause < suppression.cause)

-- name: addressee
select customer_id, channel from outbox where send_key = :send_key

-- name: withdraw
insert into consent
    (customer_id, channel, purpose, granted, recorded_at, origin, wording_version)
values (:customer_id, :channel, 'marketing', 0, :at, :origin, null)
on conflict do nothing

-- name: reconcile
-- An event proves that the provider has the message, whatever we believed of it.
update outbox
set state = 'reconciled', state_reason = :reason, state_at = :at
where
    state in ('ready', 'leased', 'calling', 'ambiguous')
    and exists (
        select 1 from provider_event
        where provider_event.send_key = outbox.send_key and provider_event.event in ({events})
    )

-- name: reconcile_requests
update provider_request
set state = 'reconciled'
where
    state = 'ambiguous'
    and not exists (
        select 1 from outbox
        where outbox.request_id = provider_request.request_id and outbox.state = 'ambiguous'
    )
