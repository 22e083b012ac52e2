-- Damage to the ledger that balances alone do not tell; the same text runs on SQLite and PostgreSQL.

-- name: twice
select idem_key, count(*) as times from transfer
where programme = :programme
group by idem_key
having count(*) > 1
order by idem_key

-- name: nowhere
-- Transfers of which an account is gone.
select transfer.idem_key, transfer.amount
from transfer
left join account as debit on transfer.debit_id = debit.account_id
left join account as credit on transfer.credit_id = credit.account_id
where
    transfer.programme = :programme
    and (debit.account_id is null or credit.account_id is null)
order by transfer.transfer_id

-- name: strays
-- Lots and moves whose transfer, lot or account is gone. Whose they were nobody knows.
select 'lot' as what, lot.lot_id as number
from lot
left join transfer on lot.lot_id = transfer.transfer_id
left join account on lot.account_id = account.account_id
where
    (transfer.transfer_id is null or account.account_id is null)
    and coalesce(transfer.programme, :programme) = :programme
union
select 'move of lot' as what, lot_move.lot_id
from lot_move
left join transfer on lot_move.transfer_id = transfer.transfer_id
left join lot on lot_move.lot_id = lot.lot_id
where
    (transfer.transfer_id is null or lot.lot_id is null)
    and coalesce(transfer.programme, :programme) = :programme
order by what, number

-- name: astray
-- Lots that lie with another member than the one they were given to.
select given.idem_key, keeper.owner_id as keeper, credit.owner_id
from lot
inner join transfer as given on lot.lot_id = given.transfer_id
inner join account as keeper on lot.account_id = keeper.account_id
inner join account as credit on given.credit_id = credit.account_id
where given.programme = :programme and keeper.owner_id <> credit.owner_id
order by lot.lot_id

-- name: directions
-- Transfers from or to where their kind never goes.
select transfer.idem_key, transfer.kind, debit.bucket as debit, credit.bucket as credit
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
where
    transfer.programme = :programme
    and (transfer.kind || ' ' || debit.bucket || ' ' || credit.bucket) not in ({ways})
order by transfer.transfer_id

-- name: unpaid
-- Transfers that are not what their lots say: what leaves a member's points is paid by lots, what comes
-- in makes a lot or goes back to some. Activation moves the lot itself.
select transfer.idem_key, transfer.amount, coalesce(moved.paid, 0) as paid,
    coalesce(moved.returned, 0) + coalesce(lot.amount, 0) as given
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
left join lot on transfer.transfer_id = lot.lot_id
left join (
    select
        transfer_id,
        sum(case when delta < 0 then -delta else 0 end) as paid,
        sum(case when delta > 0 then delta else 0 end) as returned
    from lot_move group by transfer_id
) as moved on transfer.transfer_id = moved.transfer_id
where
    transfer.programme = :programme
    and (
        coalesce(moved.paid, 0) <> case
            when debit.bucket in ('available', 'pending') and transfer.kind <> 'activate'
                then transfer.amount
            else 0
        end
        or coalesce(moved.returned, 0) + coalesce(lot.amount, 0) <> case
            when credit.bucket in ('available', 'pending') and transfer.kind <> 'activate'
                then transfer.amount
            else 0
        end
    )
order by transfer.transfer_id

-- name: unheld
-- Members who hold other than what their open holds set aside.
select account.owner_id, account.balance, coalesce(open_hold.points, 0) as holds
from account
left join (
    select hold.credit_id, sum(hold.amount) as points
    from transfer as hold
    where
        hold.programme = :programme and hold.kind = 'hold'
        and not exists (
            select 1 from transfer as done
            where done.pending_id = hold.transfer_id and done.kind in ('redeem', 'void')
        )
    group by hold.credit_id
) as open_hold on account.account_id = open_hold.credit_id
where
    account.programme = :programme and account.owner_type = 'member' and account.bucket = 'held'
    and account.balance <> coalesce(open_hold.points, 0)
order by account.owner_id

-- name: asserted
-- What the last night wrote down, where the transfers up to it come to something else.
select asserted, asserted_id, transfers
from (
    select reward_cursor.asserted, reward_cursor.asserted_id, coalesce(sum(
        case when debit.owner_type = 'system' then transfer.amount else 0 end
        - case when credit.owner_type = 'system' then transfer.amount else 0 end
    ), 0) as transfers
    from reward_cursor
    left join transfer
        on
            reward_cursor.programme = transfer.programme
            and transfer.transfer_id <= reward_cursor.asserted_id
    left join account as debit on transfer.debit_id = debit.account_id
    left join account as credit on transfer.credit_id = credit.account_id
    where reward_cursor.programme = :programme
    group by reward_cursor.asserted, reward_cursor.asserted_id
) as written
where asserted <> transfers
