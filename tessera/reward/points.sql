-- Single operations on one member's points; the same text runs on SQLite and PostgreSQL.

-- name: lock_member
-- Always in this order, so that no two operations wait for each other.
select account_id, owner_id, bucket, balance from account
where programme = :programme and owner_type = 'member' and owner_id = :customer_id
order by account_id

-- name: open_account
insert into account (programme, owner_type, owner_id, bucket, balance)
values (:programme, :owner_type, :owner_id, :bucket, :balance)
on conflict do nothing

-- name: account
select account_id, balance from account
where
    programme = :programme and owner_type = :owner_type and owner_id = :owner_id
    and bucket = :bucket

-- name: transfer
select
    transfer.transfer_id, transfer.idem_key, transfer.kind, transfer.amount, transfer.pending_id,
    transfer.reverses, transfer.expires_at, transfer.debit_id, transfer.credit_id,
    case when debit.owner_type = 'member' then debit.owner_id else credit.owner_id end as customer_id
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
where transfer.programme = :programme and transfer.idem_key = :key

-- name: key
select idem_key from transfer where transfer_id = :transfer_id

-- name: post
insert into transfer (
    programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule,
    rule_version, effective_at, posted_at, business_date, pending_id, reverses, activates_at,
    expires_at, expires_on, actor, reason
) values (
    :programme, :key, :kind, :debit_id, :credit_id, :amount, :source_type, :source_id, :rule,
    :rule_version, :at, :posted_at, :business_date, :pending_id, :reverses, :activates_at,
    :expires_at, :expires_on, :actor, :reason
)
on conflict do nothing
returning transfer_id

-- name: move
-- `debt` counts what a member owes, so it grows by debits.
update account
set balance = balance + :points * case when (account_id = :credit_id) = (bucket <> 'debt') then 1 else -1 end
where account_id in (:debit_id, :credit_id) and balance is not null

-- name: resolution
select transfer_id, idem_key, kind, amount from transfer
where pending_id = :hold_id and kind in ('redeem', 'void')

-- name: given_back
select coalesce(sum(amount), 0) from transfer
where programme = :programme and reverses = :key and kind = 'reverse'

-- name: holds
-- Holds nobody has resolved, by key. Of a programme's transfers SQLite would read them all, not knowing
-- that they are most of the table: an expression keeps it from that, here and elsewhere.
select transfer.idem_key, transfer.amount, transfer.expires_at, account.owner_id as customer_id
from transfer
inner join account on transfer.debit_id = account.account_id
where
    transfer.programme || '' = :programme and transfer.kind = 'hold' and transfer.expires_at <= :until
    and not exists (
        select 1 from transfer as done
        where done.pending_id = transfer.transfer_id and done.kind in ('redeem', 'void')
    )
order by transfer.expires_at, transfer.idem_key
limit :most

-- name: balance
select bucket, balance from account
where programme = :programme and owner_type = 'member' and owner_id = :customer_id

-- name: own
-- What a member has that has not ended.
select coalesce(sum(lot.remaining), 0)
from account inner join lot on account.account_id = lot.account_id
where
    account.programme = :programme and account.owner_type = 'member'
    and account.owner_id = :customer_id and account.bucket = 'available'
    and lot.remaining > 0 and (lot.expires_at is null or lot.expires_at > :at)

-- name: lapsed
-- What a member's holds set aside whose time is out, and which nobody has resolved.
select coalesce(sum(hold.amount), 0)
from account inner join transfer as hold on account.account_id = hold.debit_id
where
    account.programme = :programme and account.owner_type = 'member'
    and account.owner_id = :customer_id and account.bucket = 'available'
    and hold.kind = 'hold' and hold.expires_at <= :at
    and not exists (
        select 1 from transfer as done
        where done.pending_id = hold.transfer_id and done.kind in ('redeem', 'void')
    )

-- name: due
-- A member's lots that have ended, and the keys under which they end.
select
    lot.lot_id, lot.remaining, lot.expires_at, given.idem_key, given.rule, given.rule_version,
    {end_key} as expire_key
from account
inner join lot on account.account_id = lot.account_id
inner join transfer as given on lot.lot_id = given.transfer_id
where
    account.programme = :programme and account.owner_type = 'member'
    and account.owner_id = :customer_id and account.bucket = 'available'
    and lot.remaining > 0 and lot.expires_at <= :at
order by lot.expires_at, given.idem_key

-- name: take_lot
insert into lot_move (transfer_id, lot_id, delta) values (:transfer_id, :lot_id, -:points)
