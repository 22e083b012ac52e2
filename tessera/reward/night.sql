-- A night's own postings, each from what is due to its transfers; the same text runs on SQLite and
-- PostgreSQL. What is posted for a lot has the key of what gave the lot in its own key. CROSS JOIN
-- makes SQLite begin with the few lots that are due rather than walk the accounts. One transaction
-- takes lots that were given one after the other, as those of a night were, so that they and what gave
-- them lie together; account by account.

-- name: open_due
-- Whoever has points to activate has an account for them.
insert into account (programme, owner_type, owner_id, bucket, balance)
select distinct pending.programme, 'member', pending.owner_id, 'available', 0
from lot cross join account as pending
where
    lot.account_id = pending.account_id
    and pending.programme = :programme and lot.activates_at <= :cutoff and lot.remaining > 0
on conflict do nothing

-- name: to_activate
select lot.lot_id
from lot cross join account
where
    lot.account_id = account.account_id
    and account.programme = :programme and lot.activates_at <= :cutoff and lot.remaining > 0
order by +lot.lot_id

-- name: activating
-- What of those listed may still be moved, in the order in which it will be posted.
select
    row_number() over (order by lot.account_id, lot.activates_at, lot.lot_id) as place,
    'activate:' || given.idem_key as idem_key, lot.lot_id, lot.account_id as debit_id,
    available.account_id as credit_id, lot.remaining as amount, lot.activates_at as effective_at,
    given.idem_key as source_id, given.rule, given.rule_version
from {lots} as listed cross join lot
inner join account as pending on lot.account_id = pending.account_id
inner join account as available
    on
        pending.programme = available.programme and pending.owner_type = available.owner_type
        and pending.owner_id = available.owner_id and available.bucket = 'available'
inner join transfer as given on lot.lot_id = given.transfer_id
where lot.lot_id = cast(listed.value as bigint) and lot.activates_at <= :cutoff and lot.remaining > 0

-- name: move_sqlite
-- A table, so that what comes after need not find lots and what gave them again: numbered as the transfers
-- that are posted for them. Nobody else posts meanwhile.
create temporary table moving as
select (select coalesce(max(transfer_id), 0) from transfer) + due.place as transfer_id, due.*
from ({due}) as due
order by due.place

-- name: move_postgresql
-- As above; others may post meanwhile.
create temporary table moving as
select nextval('transfer_transfer_id_seq') as transfer_id, due.*
from ({due}) as due
order by due.place

-- name: post_moving
insert into transfer (
    transfer_id, programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule,
    rule_version, effective_at, posted_at, business_date
)
select
    transfer_id, :programme, idem_key, :kind, debit_id, credit_id, amount, 'transfer', source_id, rule,
    rule_version, effective_at, :at, :business_date
from moving
order by transfer_id

-- name: posted
select min(transfer_id) as first, max(transfer_id) as last, cast(sum(amount) as bigint) as points
from moving

-- name: move_lots
update lot set account_id = moving.credit_id, activates_at = null
from moving
where lot.lot_id = moving.lot_id

-- name: moved_on
drop table moving

-- name: forget_activation
-- Nothing was left of these.
update lot set activates_at = null where activates_at <= :cutoff and remaining = 0

-- name: repay
-- What came in pays back first what a member owes.
insert into transfer (
    programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule,
    rule_version, effective_at, posted_at, business_date
)
select
    :programme, 'repay:' || newest.idem_key, 'repay', available.account_id, debt.account_id,
    case when available.balance < debt.balance then available.balance else debt.balance end,
    'transfer', newest.idem_key, 'debt', '-', newest.effective_at, :at, :business_date
from (
    select credit_id, max(transfer_id) as transfer_id from transfer
    where transfer_id between :first and :last
    group by credit_id
) as came_in
inner join transfer as newest on came_in.transfer_id = newest.transfer_id
inner join account as available on came_in.credit_id = available.account_id
inner join account as debt
    on
        available.programme = debt.programme and available.owner_type = debt.owner_type
        and available.owner_id = debt.owner_id and debt.bucket = 'debt'
where
    available.programme = :programme and available.bucket = 'available'
    and available.balance > 0 and debt.balance > 0
order by newest.idem_key

-- name: begin_expiry
-- Expiry that was turned on is not retroactive: what had no end gets a whole period from now, and what
-- cannot be spent yet, from when it can.
update lot set expires_at = :expires_at, expires_on = :expires_on, redated_on = :business_date
where
    remaining > 0 and expires_at is null
    and exists (
        select 1 from account
        where
            account.account_id = lot.account_id and account.programme = :programme
            and account.bucket = 'available' and {whose}
    )

-- name: endless
-- Who has points without an end.
select distinct account.owner_id
from lot inner join account on lot.account_id = account.account_id
where
    lot.remaining > 0 and lot.expires_at is null
    and account.programme = :programme and account.bucket = 'available'

-- name: joined
-- DuckDB: members by the day of the year on which they joined.
select min(joined_on), list(owner_id)
from (
    select endless.owner_id, timezone($zone, timezone('UTC', customers.joined_at))::date as joined_on
    from endless inner join customers on endless.owner_id = customers.customer_id
    where customers.joined_at is not null
)
group by strftime(joined_on, '%m-%d')

-- name: active
-- Who earned, also what they cannot spend yet, or spent since the last night, and when they last did;
-- where points ended before that, every time. What was earned is left out where it was looked at before.
-- For who got points of a day before the last night, told late or corrected, all that they ever did counts.
with late as (
    select distinct account.owner_id
    from transfer cross join account
    where
        account.account_id = transfer.credit_id and transfer.transfer_id > :after
        and :is_earning = 1 and transfer.kind in ('earn', 'adjust')
        and transfer.effective_at < (
            select max(balance_assertion.at) from balance_assertion
            where balance_assertion.programme = :programme and balance_assertion.at < :at
        )
        and account.programme = :programme and account.owner_type = 'member'
),

holding as (
    select account.owner_id, account.account_id
    from late cross join account
    where
        account.owner_id = late.owner_id and account.programme = :programme
        and account.owner_type = 'member' and account.bucket in ('available', 'pending')
),

activity as (
    select account.owner_id, transfer.effective_at
    from transfer cross join account
    where
        account.account_id in (transfer.credit_id, transfer.debit_id)
        and transfer.transfer_id > :after
        and (transfer.kind in ('redeem', 'hold') or (:is_earning = 1 and transfer.kind = 'earn'))
        and transfer.source_type <> 'reward'
        and account.programme = :programme and account.owner_type = 'member'
        and account.bucket in ('available', 'pending')
    union
    select holding.owner_id, transfer.effective_at
    from holding cross join transfer
    where transfer.credit_id = holding.account_id and transfer.kind = 'earn'
    union
    select holding.owner_id, transfer.effective_at
    from holding cross join transfer
    where
        transfer.debit_id = holding.account_id and transfer.kind in ('redeem', 'hold')
        and transfer.source_type <> 'reward'
),

latest as (
    select owner_id, max(effective_at) as effective_at from activity group by owner_id
),

ended as (
    select latest.owner_id
    from latest cross join account
    inner join lot on account.account_id = lot.account_id
    where
        account.programme = :programme and account.owner_type = 'member'
        and account.owner_id = latest.owner_id and account.bucket = 'available'
        and lot.remaining > 0 and lot.expires_at <= latest.effective_at
)

select account.account_id, moment.effective_at
from (
    select owner_id, effective_at from latest
    union
    select owner_id, effective_at from activity where owner_id in (select owner_id from ended)
) as moment
cross join account
where
    account.programme = :programme and account.owner_type = 'member'
    and account.owner_id = moment.owner_id and account.bucket = 'available'
order by moment.effective_at

-- name: prolong
update lot set expires_at = :expires_at, expires_on = :expires_on, redated_on = :business_date
where
    account_id = :account_id and remaining > 0
    and expires_at < :expires_at and expires_at > :effective_at

-- name: to_expire
select lot.lot_id
from lot cross join account
where
    lot.account_id = account.account_id and lot.expires_at <= :cutoff and lot.remaining > 0
    and account.programme = :programme and account.bucket = 'available'
order by +lot.lot_id

-- name: expiring
-- As above, of every so many accounts one. Points that may be spent do not become pending again.
select
    row_number() over (order by lot.account_id, lot.expires_at, lot.lot_id) as place,
    {end_key} as idem_key, lot.lot_id, lot.account_id as debit_id,
    cast(:breakage as bigint) as credit_id,
    lot.remaining as amount, lot.expires_at as effective_at, given.idem_key as source_id, given.rule,
    given.rule_version
from {lots} as listed cross join lot
inner join transfer as given on lot.lot_id = given.transfer_id
where
    lot.lot_id = cast(listed.value as bigint) and lot.expires_at <= :cutoff and lot.remaining > 0
    and lot.account_id % :hands = :hand

-- name: end_lots
insert into lot_move (transfer_id, lot_id, delta)
select transfer_id, lot_id, -amount from moving order by transfer_id

-- name: empty_lots
-- A till that could have come between would be found out here.
update lot set remaining = remaining - moving.amount
from moving
where lot.lot_id = moving.lot_id

-- name: open_breakage
insert into account (programme, owner_type, owner_id, bucket)
select :programme, 'system', 'programme', 'breakage'
where exists (select 1 from lot where expires_at <= :cutoff and remaining > 0)
on conflict do nothing

-- name: breakage
select account_id from account
where programme = :programme and owner_type = 'system' and bucket = 'breakage'

-- name: done
select step, counts from reward_night where programme = :programme and business_date = :business_date

-- name: last_night
select max(business_date) from reward_night where programme = :programme

-- name: mark
insert into reward_night (programme, business_date, step, done_at, counts)
values (:programme, :business_date, :step, :at, :counts)
on conflict (programme, business_date, step) do update
set done_at = excluded.done_at, counts = excluded.counts

-- name: start_over
delete from reward_night where programme = :programme and business_date = :business_date

-- name: lots_differ
-- Accounts that are not the sum of their lots.
select account.owner_id, account.bucket, account.balance, coalesce(held.points, 0) as lots
from account
left join (
    select account_id, sum(remaining) as points from lot where remaining > 0 group by account_id
) as held on account.account_id = held.account_id
where
    account.programme = :programme and account.owner_type = 'member'
    and account.bucket in ('available', 'pending') and account.balance <> coalesce(held.points, 0)
order by account.owner_id, account.bucket

-- name: moves_differ
-- Lots that are not their amount and the sum of their moves.
select given.idem_key, lot.remaining, lot.amount + coalesce(moved.points, 0) as moves
from lot
inner join transfer as given on lot.lot_id = given.transfer_id
left join (
    select lot_id, sum(delta) as points from lot_move group by lot_id
) as moved on lot.lot_id = moved.lot_id
where given.programme = :programme and lot.remaining <> lot.amount + coalesce(moved.points, 0)
order by given.idem_key
