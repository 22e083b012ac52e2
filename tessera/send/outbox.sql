-- Every change of a message's state, and nothing else. A row is only ever moved from the state, and
-- by the request, that the mover believes it to be in: whoever lost its lease moves nothing. The coalesce
-- keeps SQLite from going through all of a lease for each of a request's messages.

-- name: late
update outbox
set
    state = 'cancelled', state_at = :at,
    state_reason = case when not_after = :never then 'campaign_cancelled' else 'too_late' end
where state = 'ready' and channel = :channel and not_after < :moment

-- name: late_hours
-- The hours that messages were kept past: their campaign was paused, or waited for a word, until after them,
-- or they were over only since :since. What nobody came to send is not among them: it may be an old copy's.
with resumed as (
    select substr(subject, 10) as campaign, max(at) as at
    from audit
    where action = 'resume' and subject like 'campaign %'
    group by subject
)

select distinct
    o.campaign, o.campaign_version, o.business_date, o.timezone, o.send_at, o.not_after
from outbox as o
left join campaign_hold as h on h.campaign = o.campaign
left join resumed as r on r.campaign = o.campaign
left join approval as a
    on
        a.campaign = o.campaign and a.campaign_version = o.campaign_version
        and a.business_date = o.business_date
where
    o.state = 'ready' and o.channel = :channel and o.not_after < :moment and o.not_after > :never
    and (
        o.not_after >= :since or h.campaign is not null or r.at > o.not_after
        or a.recipients > a.approved or a.approved_at > o.not_after
    )

-- name: move_hours
update outbox
set send_at = :next_send_at, not_after = :next_not_after, state_reason = 'outside_window', state_at = :at
where
    state = 'ready' and channel = :channel and campaign = :campaign
    and campaign_version = :campaign_version and business_date = :business_date
    and timezone = :timezone and send_at = :send_at and not_after = :not_after
    and not exists (
        select 1 from reward_grant
        inner join voucher on reward_grant.code = voucher.code
        where reward_grant.send_key = outbox.send_key and voucher.valid_until < :next_day
    )

-- name: channels
select distinct channel from outbox where state in ('ready', 'leased', 'calling', 'ambiguous')

-- name: claimable
-- A condition on outbox rows: due, not too late, not put off, of no campaign that is held or waits for a word.
    state = 'ready' and channel = :channel and send_at < :until and not_after >= :moment
    and (retry_at is null or retry_at <= :now)
    and campaign not in (select campaign from campaign_hold)
    and not exists (
        select 1 from approval
        where
            approval.campaign = outbox.campaign
            and approval.campaign_version = outbox.campaign_version
            and approval.business_date = outbox.business_date
            and approval.recipients > approval.approved
    )

-- name: aside
-- And of no template and language that nobody can be written to with.
    and template || ' ' || language not in (select value from {aside})

-- name: chosen
    and message_id in (select cast(value as bigint) from {chosen})

-- name: say_why
-- `tessera send list` tells what keeps them waiting.
update outbox set state_reason = :why
where
    {claimable} and template = :template and language = :language

-- name: due
select template, language, count(*) as messages
from outbox
where {claimable}
group by template, language
order by template, language

-- name: waiting
select count(*) from outbox where state = 'ready' and channel = :channel and send_at < :until

-- name: claim
-- On PostgreSQL {lock} passes over what another sender is claiming.
update outbox set state = 'leased', state_at = :at, request_id = :request
where
    message_id in (
        select message_id
        from outbox
        where {claimable}
        order by send_at, message_id
        limit :size {lock}
    )
returning
    message_id, send_key, customer_id, household_id, campaign, campaign_version, tags, step, occurrence, channel, purpose,
    template, language, timezone, business_date, decided_at, send_at, not_after, attempts

-- name: first
-- Who goes first where not all can.
select message_id
from outbox
left join {ranks} as ranks on ranks.key = outbox.campaign || ' ' || outbox.campaign_version
where {claimable}
order by
    case purpose when 'service' then 0 else 1 end, cast(coalesce(ranks.value, '0') as integer) desc,
    send_at, message_id
limit :size

-- name: open_request
insert into provider_request
    (messenger, state, leased_by, leased_until, fence, created_at, called_at, messages)
values (:messenger, :state, :owner, :until, :fence, :now, :called_at, :messages)
returning request_id

-- name: last_request
select max(request_id) from provider_request

-- name: drop_leased
update outbox
set state = :state, state_reason = dropped.value, state_at = :at, request_id = null
from {reasons} as dropped
where
    message_id = cast(dropped.key as bigint) and coalesce(request_id, 0) = :request
    and coalesce(state, '') = 'leased'

-- name: put_off
-- A day later, within the same hours.
update outbox
set
    state = 'ready', state_at = :at, request_id = null, state_reason = :reason,
    send_at = :send_at, not_after = :not_after
where message_id = :id and request_id = :request and state = 'leased'

-- name: release
update outbox set state = 'ready', state_at = :at, request_id = null
where request_id = :request and state = 'leased'

-- name: close_lease
delete from provider_request where request_id = :request and state = 'leased'

-- name: renew
update provider_request set leased_until = :until where request_id = :request and state = 'leased'

-- name: call
-- Not what was put on hold, or cancelled, or became too late, while it was being written.
update outbox
set
    state = 'calling', state_at = :moment, request_id = :request,
    content_hash = coalesce(content_hash, written.value)
from {hashes} as written
where
    message_id = cast(written.key as bigint) and coalesce(request_id, 0) = :lease
    and coalesce(state, '') = 'leased' and not_after >= :moment
    and campaign not in (select campaign from campaign_hold)

-- name: called
select message_id from outbox where request_id = :request and state = 'calling'

-- name: accept
-- Also from `ambiguous`: somebody may have thought this sender dead while it was waiting.
update outbox set state = 'accepted', state_reason = null, state_at = :at
where request_id = :request and state in ('calling', 'ambiguous')

-- name: except
update outbox
set
    state = :state, state_reason = :reason, state_at = :at, retry_at = :retry_at,
    attempts = attempts + :asked,
    request_id = case when :state = 'ready' then null else request_id end
where message_id = :id and request_id = :request and state = 'accepted'

-- name: finish_request
update provider_request
set
    state = :state, finished_at = :now, status_code = :status_code, provider_id = :provider_id,
    error = :error
where request_id = :request and state in ('calling', 'ambiguous')

-- name: give_back
-- Also from `ambiguous`, as above: whoever was called knows that nothing left.
update outbox set state = 'ready', state_reason = null, state_at = :at, request_id = null
where request_id = :request and state in ('calling', 'ambiguous')

-- name: doubt
update outbox
set state = 'ambiguous', state_reason = :reason, state_at = :at
where request_id = :request and state = 'calling'

-- name: open_requests
select request_id, messenger, state, leased_by, leased_until
from provider_request
where state in ('leased', 'calling')

-- name: doubted
-- Service messages that no event came of in time, and that nobody has cancelled.
select message_id, send_at, not_after, timezone
from outbox
where
    state = 'ambiguous' and purpose = 'service' and not_after > :never
    and request_id in (
        select request_id from provider_request where state = 'ambiguous' and called_at < :before
    )

-- name: send_again
update outbox
set
    state = 'ready', state_reason = 'sent_again', state_at = :at, request_id = null,
    send_at = :send_at, not_after = :not_after
where message_id = :id and state = 'ambiguous'

-- name: settle
-- Of the others we let go.
update outbox
set state = 'reconciled', state_reason = 'given_up', state_at = :at
where
    state = 'ambiguous'
    and request_id in (
        select request_id from provider_request where state = 'ambiguous' and called_at < :before
    )

-- name: settled_requests
-- After `settle`, which has left none of their messages in doubt.
update provider_request set state = 'reconciled'
where state = 'ambiguous' and called_at < :before

-- name: hold
insert into campaign_hold (campaign, since) values (:campaign, :now) on conflict do nothing

-- name: unhold
delete from campaign_hold where campaign = :campaign

-- name: cancel
-- What is leased is taken out of its sender's hands.
update outbox
set state = 'cancelled', state_reason = 'campaign_cancelled', state_at = :at, request_id = null
where campaign = :campaign and state in ('ready', 'leased')

-- name: cancel_called
-- What is being called is beyond recall; if it comes back, it is too late for it.
update outbox set not_after = :never
where campaign = :campaign and state in ('calling', 'ambiguous')

-- name: in_outbox
-- Day by day: so the index finds the few of many that are the campaign's.
with recursive day as (
    select min(business_date) as business_date from outbox
    union all
    select (select min(business_date) from outbox where business_date > day.business_date)
    from day
    where business_date is not null
)

select outbox.campaign, outbox.state, outbox.state_reason, count(*) as messages
from day
cross join outbox
where outbox.business_date = day.business_date and outbox.campaign = :campaign
group by outbox.campaign, outbox.state, outbox.state_reason
order by outbox.state, outbox.state_reason

-- name: on_hold
select campaign, since from campaign_hold order by campaign

-- name: unsent
select
    o.send_key, o.customer_id, o.campaign, o.step, o.channel, o.business_date, o.send_at, o.state,
    case
        when o.state <> 'ready' then o.state_reason
        when h.campaign is not null then 'paused'
        when o.retry_at is not null then coalesce(o.state_reason, 'asked again later')
        else o.state_reason
    end as reason,
    o.attempts
from outbox as o
left join campaign_hold as h on h.campaign = o.campaign
where
    (o.state in ('ready', 'leased', 'calling', 'ambiguous', 'rejected', 'cancelled')
        or (o.state = 'reconciled' and o.state_reason <> 'accepted'))
    and (cast(:campaign as text) is null or o.campaign = :campaign)
    and (cast(:day as text) is null or o.business_date = :day)
    and (cast(:state as text) is null or o.state = :state)
order by o.business_date, o.campaign, o.send_at, o.message_id

-- name: versions
select campaign, version, body from campaign_version where campaign in (select value from {names})

-- name: all_versions
select campaign, version, body from campaign_version

-- name: batch_of
select batch_id
from provider_batch
where campaign = :campaign and business_date = :day and messenger = :messenger

-- name: keep_batch
insert into provider_batch (campaign, business_date, messenger, batch_id)
values (:campaign, :day, :messenger, :batch_id)
on conflict do nothing

-- name: batches_of
select messenger, batch_id from provider_batch where campaign = :campaign

-- name: recalled
update outbox
set state = 'cancelled', state_reason = 'cancelled_at_provider', state_at = :at
where
    campaign = :campaign and state = 'accepted' and send_at > :after
    and request_id in (select request_id from provider_request where messenger = :messenger)
    and business_date in (
        select business_date from provider_batch
        where campaign = :campaign and messenger = :messenger
    )
