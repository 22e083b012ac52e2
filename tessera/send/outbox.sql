-- Every change of a message's state, and nothing else. A row is only ever moved from the state, and
-- by the request, that the mover believes it to be in: whoever lost its lease moves nothing.

-- name: late
update outbox
set state = 'cancelled', state_reason = 'too_late', state_at = :at
where state = 'ready' and channel = 'email' and not_after < :at

-- name: due
select template, language, count(*) as messages
from outbox
where
    state = 'ready' and channel = 'email' and send_at < :until
    and (retry_at is null or retry_at <= :now)
group by template, language
order by template, language

-- name: waiting
select count(*) from outbox where state = 'ready' and channel = 'email' and send_at < :until

-- name: claimable
select
    message_id, send_key, customer_id, campaign, step, occurrence, channel, purpose, template,
    language, timezone, business_date, send_at, attempts
from outbox
where
    state = 'ready' and channel = 'email' and send_at < :until
    and (retry_at is null or retry_at <= :now)
order by send_at, message_id
limit :size

-- name: open_request
insert into provider_request (messenger, state, leased_by, leased_until, fence, created_at, called_at)
values (:messenger, :state, :owner, :until, :fence, :now, :called_at)
returning request_id

-- name: lease
update outbox set state = 'leased', state_at = :at, request_id = :request where message_id = :id

-- name: drop_leased
update outbox set state = :state, state_reason = :reason, state_at = :at, request_id = null
where message_id = :id and request_id = :request and state = 'leased'

-- name: release
update outbox set state = 'ready', state_at = :at, request_id = null
where request_id = :request and state = 'leased'

-- name: close_lease
delete from provider_request where request_id = :request and state = 'leased'

-- name: call
update outbox
set
    state = 'calling', state_at = :at, request_id = :request,
    content_hash = coalesce(content_hash, :hash)
where message_id = :id and request_id = :lease and state = 'leased'

-- name: called
select count(*) from outbox where request_id = :request and state = 'calling'

-- name: accept
-- Also from `ambiguous`: somebody may have thought this sender dead while it was waiting.
update outbox set state = 'accepted', state_reason = null, state_at = :at
where request_id = :request and state in ('calling', 'ambiguous')

-- name: except
update outbox
set
    state = :state, state_reason = :reason, state_at = :at, retry_at = :retry_at,
    attempts = attempts + 1, request_id = case when :state = 'ready' then null else request_id end
where message_id = :id and request_id = :request and state = 'accepted'

-- name: finish_request
update provider_request
set
    state = :state, finished_at = :now, status_code = :status_code, provider_id = :provider_id,
    error = :error
where request_id = :request and state in ('calling', 'ambiguous')

-- name: give_back
update outbox set state = 'ready', state_at = :at, request_id = null
where request_id = :request and state = 'calling'

-- name: doubt
update outbox
set state = 'ambiguous', state_reason = :reason, state_at = :at
where request_id = :request and state = 'calling'

-- name: open_requests
select request_id, messenger, state, leased_by, leased_until
from provider_request
where state in ('leased', 'calling')
