-- name: heard
select 1 from heard_file where content_hash = :hash

-- name: remember
insert into heard_file (content_hash, name, events, heard_at)
values (:hash, :name, :events, :at)
on conflict (content_hash) do nothing

-- name: keep_unread
insert into unread_event (entry_hash, entry, received_at)
values (:entry_hash, :entry, :at)
on conflict (entry_hash) do nothing

-- name: settle_taken
-- An event proves that the provider has the message, whatever we believed of it.
update outbox
set state = 'reconciled', state_reason = 'accepted', state_at = :at
where
    send_key = :send_key
    and (state in ('ready', 'leased', 'calling', 'ambiguous') or state_reason = 'given_up')

-- name: settle_reached
-- What was to be held back at the provider had left already.
update outbox
set state = 'reconciled', state_reason = 'accepted', state_at = :at
where send_key = :send_key and state_reason = 'cancelled_at_provider'

-- name: settle_dropped
-- Whichever event comes first, a message that was dropped ends as such.
update outbox
set state = 'reconciled', state_reason = 'dropped by the provider', state_at = :at
where
    send_key = :send_key
    and (
        state in ('ready', 'leased', 'calling', 'ambiguous')
        or (state = 'reconciled' and state_reason in ('accepted', 'given_up'))
    )

-- name: settle_requests
update provider_request
set state = 'reconciled'
where
    state = 'ambiguous'
    and not exists (
        select 1 from outbox
        where outbox.request_id = provider_request.request_id and outbox.state = 'ambiguous'
    )

-- name: known
select event_key, occurred_at from provider_event where event_key in (select value from {values})

-- name: blocked_addresses
select address_hash from suppression
where cause = 'blocked' and channel = 'email' and address_hash in (select value from {values})

-- name: forget_blocks
delete from suppression
where cause = 'blocked' and channel = 'email' and address_hash in (select value from {values})

-- name: blocks
select address_hash, event, occurred_at from provider_event where address_hash in (select value from {values})

-- name: readers
select send_key, customer_id from outbox
where channel = 'email' and send_key in (select value from {values})
