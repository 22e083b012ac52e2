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

-- name: next_preferences
select recorded_at from preference where recorded_at >= :start order by recorded_at limit 1

-- name: preferences
select cast(preference_id as text) as preference_id, customer_id, name, value, recorded_at
from preference
where recorded_at >= :start and recorded_at < :until
order by preference.preference_id

-- name: next_consents
select coalesce(noted_at, recorded_at) from consent
where coalesce(noted_at, recorded_at) >= :start
order by coalesce(noted_at, recorded_at)
limit 1

-- name: consents
-- By when we learnt of it: providers tell late of words said on days whose file is written. Of two
-- words of one second the no.
select customer_id, channel, purpose, granted, recorded_at, origin, wording_version
from consent
where
    coalesce(noted_at, recorded_at) >= :start and coalesce(noted_at, recorded_at) < :until
    and not exists (
        select 1 from consent as other
        where
            other.customer_id = consent.customer_id
            and other.channel = consent.channel
            and other.purpose = consent.purpose
            and other.recorded_at = consent.recorded_at
            and coalesce(other.noted_at, other.recorded_at) < :until
            and (
                other.granted < consent.granted
                or (other.granted = consent.granted and other.consent_id > consent.consent_id)
            )
    )
order by consent_id

-- name: next_interactions
select answered_at from answer where answered_at >= :start order by answered_at limit 1

-- name: interactions
-- An answer that was changed is exported with the day of the change, in place of the earlier one.
select
    'answer:' || send_key as interaction_id,
    customer_id,
    null as prospect_id,
    'survey' as kind,
    'email' as channel,
    answered_at as occurred_at,
    'recommend' as topic,
    coalesce(
        comment,
        (
            select earlier.comment from answer as earlier
            where earlier.send_key = answer.send_key and earlier.comment is not null
            order by earlier.answer_id desc limit 1
        )
    ) as body,
    score,
    null as status,
    null as cost,
    null as currency
from answer
where
    answered_at >= :start and answered_at < :until
    and not exists (
        select 1 from answer as later
        where
            later.send_key = answer.send_key and later.answer_id > answer.answer_id
            and later.answered_at < :until
    )
order by send_key

-- name: next_prospects
select confirmed_at from signup where confirmed_at >= :start order by confirmed_at limit 1

-- name: prospects
select
    'web-' || signup_id as prospect_id,
    given_name,
    null as family_name,
    email,
    null as phone,
    language,
    null as timezone,
    null as country,
    case when referred_by is null then 'web' else 'referral' end as acquisition_source,
    confirmed_at as created_at,
    null as notes
from signup
where confirmed_at >= :start and confirmed_at < :until
order by signup_id

-- name: next_cards
select noted_at from card
where
    noted_at >= :start and origin = 'till'
    and (customer_id <> card_id or replaced_by_card_id is not null)
order by noted_at
limit 1

-- name: cards
-- Cards that were replaced at a till, and those that took their place. One that was handed out needs
-- no row: to the models it is its own customer until somebody registers it. A day is that on which it was
-- heard of: tills without a line tell late what they did.
select
    card_id,
    customer_id,
    case when replaced_by_card_id is null then changed_at end as issued_at,
    null as blocked_at,
    replaced_by_card_id
from card
where
    noted_at >= :start and noted_at < :until and origin = 'till'
    and (customer_id <> card_id or replaced_by_card_id is not null)
order by card_id

-- name: forget_unconfirmed
-- Who never confirmed is nobody we know.
delete from signup where confirmed_at is null and asked_at < :before

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

-- name: last_transfer
select coalesce(max(transfer_id), 0) from transfer

-- name: exported_through
select through_id from ledger_export where what = 'transfer'

-- name: late_days
-- Days that were posted to since: a night that is run again posts to its own date.
select distinct business_date from transfer
where transfer_id > :through
order by business_date

-- name: export_through
insert into ledger_export (what, through_id) values ('transfer', :through)
on conflict (what) do update set through_id = excluded.through_id

-- name: next_lots
-- One look into an index for each, which the database stops after.
select min(day) from (
    select (
        select business_date from transfer
        where
            business_date >= :start
            and exists (select 1 from lot where lot.lot_id = transfer.transfer_id)
        order by business_date limit 1
    ) as day
    union all
    select (
        select redated_on from lot where redated_on is not null and redated_on >= :start
        order by redated_on limit 1
    )
) as first_of_each

-- name: lots
-- What was given on the day, and what got another end on it, which it has from then on.
select
    given.programme,
    given.idem_key,
    account.owner_id as customer_id,
    account.bucket,
    lot.amount,
    lot.earned_at,
    lot.expires_on,
    given.business_date
from (
    select transfer_id as lot_id from transfer
    where business_date >= :start and business_date < :until
    union
    select lot_id from lot
    where redated_on is not null and redated_on >= :start and redated_on < :until
) as changed
cross join lot
inner join transfer as given on lot.lot_id = given.transfer_id
inner join account on given.credit_id = account.account_id
where changed.lot_id = lot.lot_id
order by given.programme, given.idem_key

-- name: next_lot_moves
select business_date
from transfer
where
    kind <> 'earn' and kind <> 'grant' and kind <> 'owe' and kind <> 'activate'
    and business_date >= :start
    and exists (select 1 from lot_move where lot_move.transfer_id = transfer.transfer_id)
order by business_date
limit 1

-- name: lot_moves
select
    mover.programme,
    mover.idem_key,
    given.idem_key as lot_key,
    mover.kind,
    lot_move.delta,
    mover.business_date
from transfer as mover
inner join lot_move on mover.transfer_id = lot_move.transfer_id
inner join transfer as given on lot_move.lot_id = given.transfer_id
where
    mover.kind <> 'earn' and mover.kind <> 'grant' and mover.kind <> 'owe' and mover.kind <> 'activate'
    and mover.business_date >= :start and mover.business_date < :until
order by mover.programme, mover.idem_key, given.idem_key

-- name: next_point_balances
select business_date from transfer where business_date >= :start order by business_date limit 1

-- name: point_balances
-- Of the accounts that the day moved: what was on them when it closed, by the balance that is kept.
with moved as (
    select credit_id as account_id from transfer
    where business_date >= :start and business_date < :until
    union
    select debit_id from transfer
    where business_date >= :start and business_date < :until
),

later as (
    select account_id, sum(points) as points
    from (
        select moved.account_id, transfer.amount as points
        from moved cross join transfer
        where transfer.credit_id = moved.account_id and transfer.business_date >= :until
        union all
        select moved.account_id, -transfer.amount
        from moved cross join transfer
        where transfer.debit_id = moved.account_id and transfer.business_date >= :until
    ) as leg
    group by account_id
)

select
    account.programme,
    account.owner_id as customer_id,
    account.bucket,
    cast(
        account.balance
        - case when account.bucket = 'debt' then -1 else 1 end * coalesce(later.points, 0)
        as bigint
    ) as balance,
    :day as business_date
from moved
inner join account on moved.account_id = account.account_id
left join later on moved.account_id = later.account_id
where account.owner_type = 'member'
order by account.programme, account.owner_id, account.bucket

-- name: next_tier_moves
select business_date from tier_move where business_date >= :start order by business_date limit 1

-- name: tier_moves
-- No tier has a name too: nothing that lands is an empty text.
select
    programme, customer_id, business_date, position,
    case when tier = '' then 'basic' else tier end as tier,
    case when coalesce(previous_tier, '') = '' then 'basic' else previous_tier end as previous_tier,
    reason, qualifying, until
from tier_move
where business_date >= :start and business_date < :until
order by programme, customer_id, business_date, position
