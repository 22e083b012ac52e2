-- The engine's own rows, one closed day at a time. A message appears in the file of every day on
-- which its state last changed; the later file wins when they are landed.

-- name: next_messages
select state_at from outbox where state_at >= :start order by state_at limit 1

-- name: messages
select
    send_key, customer_id, household_id, campaign, step, occurrence, channel, purpose, state,
    send_at, state_at, business_date
from outbox
where state_at >= :start and state_at < :until
order by send_key

-- name: next_message_events
select received_at from provider_event where received_at >= :start and send_key <> '' order by received_at limit 1

-- name: message_events
select event_key, send_key, event, occurred_at
from provider_event
where received_at >= :start and received_at < :until and send_key <> ''
order by event_key

-- name: next_point_transfers
select business_date from transfer where business_date >= :start order by business_date limit 1

-- name: point_transfers
select
    transfer.programme,
    transfer.idem_key,
    transfer.kind,
    debit.owner_type || ':' || debit.owner_id || ':' || debit.bucket as debit,
    credit.owner_type || ':' || credit.owner_id || ':' || credit.bucket as credit,
    case
        when credit.owner_type = 'member' then credit.owner_id
        when debit.owner_type = 'member' then debit.owner_id
    end as customer_id,
    transfer.amount,
    transfer.source_id,
    transfer.rule,
    transfer.effective_at,
    transfer.business_date
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
where transfer.business_date >= :start and transfer.business_date < :until
order by transfer.programme, transfer.idem_key
