-- Lots: which points are spent first, and which come back. The same text runs on SQLite and
-- PostgreSQL. A lot is numbered as the transfer that gave it; `remaining` is its amount and the sum
-- of its moves. `first` and `last` bound the transfers in question: on PostgreSQL other tills'
-- may lie between a batch's, so that a batch holds the ledger's lock and a single one asks for itself.

-- name: end_key
-- Of a lot that ends and what gave it: the key of its end, by night and at tills. A till whose clock is behind
-- the night's gives points back to a lot that has ended already: it ends once more, under a number. A lot from
-- which nothing is gone has not ended, and of the others the moves are looked up before what made them:
-- PostgreSQL would walk all that ever moved for each lot, where it believes that to be little.
'expire:' || given.idem_key || ':' || lot.expires_on || coalesce(
    case when lot.remaining < lot.amount then ':' || nullif((
        select count((
            select earlier.transfer_id from transfer as earlier
            where
                earlier.transfer_id = lot_move.transfer_id and earlier.kind = 'expire'
                and earlier.effective_at = lot.expires_at
        ))
        from lot_move
        where lot_move.lot_id = lot.lot_id
    ), 0) end,
    ''
)

-- name: give
-- Every credit of a member's points makes a lot, but for those that give points back to theirs. For a
-- list of kinds SQLite would look in a table, for each of a night's millions.
insert into lot (lot_id, account_id, amount, remaining, earned_at, activates_at, expires_at, expires_on)
select
    transfer.transfer_id, transfer.credit_id, transfer.amount, transfer.amount, transfer.effective_at,
    case when account.bucket = 'pending' then transfer.activates_at end,
    transfer.expires_at, transfer.expires_on
from transfer
inner join account on transfer.credit_id = account.account_id
where
    transfer.transfer_id between :first and :last
    and account.owner_type = 'member' and account.bucket in ('available', 'pending')
    and transfer.kind <> 'void' and transfer.kind <> 'release' and transfer.kind <> 'reverse'
    and transfer.kind <> 'activate' and transfer.kind <> 'merge' and transfer.kind <> 'unmerge'
    and transfer.kind <> 'pool'

-- name: take_own
-- What is taken back is taken from the points that its receipt once gave, whoever has them by now
-- and as far as they are still there; those that had ended before all others, for of less that was given as
-- much had been spent. That a receipt is no transfer is said for SQLite's index by source.
insert into lot_move (transfer_id, lot_id, delta)
with due as (
    select
        transfer.transfer_id, transfer.debit_id as account_id, given.source_id, given.rule,
        transfer.amount,
        sum(transfer.amount) over (
            partition by transfer.debit_id, given.source_id, given.rule order by transfer.transfer_id
        ) as upto
    from transfer
    inner join transfer as given
        on transfer.reverses = given.idem_key and transfer.programme = given.programme
    where
        transfer.transfer_id between :first and :last
        and transfer.kind in ('clawback', 'adjust') and given.source_type = 'receipt'
),

supply as (
    select
        lot.lot_id, lot.account_id, given.source_id, given.rule, lot.remaining,
        sum(lot.remaining) over (
            partition by lot.account_id, given.source_id, given.rule
            order by (given.kind <> 'revive'), lot.lot_id
        ) as upto
    from (select distinct account_id, source_id, rule from due) as wanted
    inner join transfer as given
        on
            wanted.source_id = given.source_id and wanted.rule = given.rule
            and given.source_type = 'receipt' and given.source_type <> 'transfer'
    inner join lot on given.transfer_id = lot.lot_id and wanted.account_id = lot.account_id
    where lot.remaining > 0
)

select
    due.transfer_id, supply.lot_id,
    case
        when due.upto - due.amount > supply.upto - supply.remaining then due.upto - due.amount
        else supply.upto - supply.remaining
    end - case when due.upto < supply.upto then due.upto else supply.upto end
from due
inner join supply
    on
        due.account_id = supply.account_id and due.source_id = supply.source_id
        and due.rule = supply.rule and supply.upto > due.upto - due.amount
        and supply.upto - supply.remaining < due.upto

-- name: take
-- The rest goes by what ends first: SQLite would sort the lots that never do before all others. The
-- kinds that only give are named, so that a night's millions are not looked at.
insert into lot_move (transfer_id, lot_id, delta)
with debit as (
    select
        transfer.transfer_id,
        transfer.debit_id as account_id,
        transfer.amount + coalesce(
            (select sum(delta) from lot_move where lot_move.transfer_id = transfer.transfer_id), 0
        ) as amount
    from transfer
    inner join account on transfer.debit_id = account.account_id
    where
        transfer.transfer_id between :first and :last
        and account.owner_type = 'member' and account.bucket in ('available', 'pending')
        and transfer.kind <> 'earn' and transfer.kind <> 'grant' and transfer.kind <> 'owe'
        and transfer.kind <> 'activate' and transfer.kind <> 'expire' and transfer.kind <> 'merge'
        and transfer.kind <> 'unmerge' and transfer.kind <> 'pool'
),

due as (
    select
        *, sum(amount) over (partition by account_id order by transfer_id) as upto
    from debit where amount > 0
),

open_lot as (
    select
        lot.lot_id, lot.account_id, lot.expires_at, lot.earned_at,
        lot.remaining + coalesce((
            select sum(delta) from lot_move
            where lot_move.lot_id = lot.lot_id and lot_move.transfer_id between :first and :last
        ), 0) as remaining
    from lot
    where lot.remaining > 0 and lot.account_id in (select account_id from due)
),

supply as (
    select
        *,
        sum(remaining) over (
            partition by account_id order by (expires_at is null), expires_at, earned_at, lot_id
        ) as upto
    from open_lot where remaining > 0
)

select
    due.transfer_id, supply.lot_id,
    case
        when due.upto - due.amount > supply.upto - supply.remaining then due.upto - due.amount
        else supply.upto - supply.remaining
    end - case when due.upto < supply.upto then due.upto else supply.upto end
from due
inner join supply
    on
        due.account_id = supply.account_id
        and supply.upto > due.upto - due.amount
        and supply.upto - supply.remaining < due.upto

-- name: take_one
-- As `take`, of a single transfer that debits `account_id`, whose lots nobody else changes meanwhile.
insert into lot_move (transfer_id, lot_id, delta)
select :first, lot_id, case when upto < :points then -remaining else upto - remaining - :points end
from (
    select
        lot_id, remaining,
        sum(remaining) over (
            order by {before} (expires_at is null), expires_at, earned_at, lot_id
        ) as upto
    from lot where account_id = :account_id and remaining > 0
) as supply
where upto - remaining < :points

-- name: borrowed
-- What a redemption borrowed and gave back pays the debt it made before any points of the member's own.
(select transfer.kind from transfer where transfer.transfer_id = lot.lot_id) <> 'owe',

-- name: restore
-- Points that were spent and come back go to the lots that paid, the one that ends last first: as
-- if less had been spent.
insert into lot_move (transfer_id, lot_id, delta)
with used as (
    select lot_move.lot_id, -sum(lot_move.delta) as points
    from lot_move
    where
        lot_move.transfer_id = :spent
        or lot_move.transfer_id in (
            select transfer_id from transfer
            where
                programme || '' = :programme and kind in ('release', 'reverse')
                and reverses in (:spent_key, :payer_key)
        )
    group by lot_move.lot_id
    having sum(lot_move.delta) < 0
),

ordered as (
    select
        used.lot_id, used.points,
        sum(used.points) over (
            order by (lot.expires_at is null) desc, lot.expires_at desc, lot.earned_at desc, lot.lot_id desc
        ) as upto
    from used inner join lot on used.lot_id = lot.lot_id
)

select
    :transfer_id, lot_id,
    case when upto < :points then points else :points - (upto - points) end
from ordered
where upto - points < :points

-- name: spare
-- Points that come back to a lot that has ended meanwhile may be spent for a while yet.
update lot
set
    expires_at = :expires_at, expires_on = :expires_on,
    redated_on = (select business_date from transfer where transfer_id = :transfer_id)
where
    expires_at <= :at
    and lot_id in (select lot_id from lot_move where transfer_id = :transfer_id)

-- name: apply
update lot set remaining = remaining + moved.points
from (
    select lot_id, sum(delta) as points from lot_move
    where transfer_id between :first and :last
    group by lot_id
) as moved
where lot.lot_id = moved.lot_id

-- name: apply_one
update lot set remaining = remaining + moved.delta
from lot_move as moved
where moved.transfer_id = :first and lot.lot_id = moved.lot_id
