-- Damage to the ledger that balances alone do not tell; the same text runs on SQLite and PostgreSQL.

-- name: twice
select idem_key, count(*) as times from transfer
where programme = :programme
group by idem_key
having count(*) > 1
order by idem_key

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

-- name: transfers
-- What is wrong with a transfer or with the lot it made, all that needs to know the accounts: to look them
-- up is most of the work. `nowhere`: an account is gone. `astray`: the lot lies with another member than the
-- one it was given to. `directions`: it goes from or to where its kind never goes. `unpaid`: it is not what
-- the lots say. What leaves a member's points is paid by lots, what comes in makes a lot or goes back to
-- some; activation moves the lot itself. `misnamed`: its key names another receipt or rule. `mistimed`: its
-- lot was earned at another time; only those that came from another lot are older than their transfer.
select * from (
    select transfer.transfer_id, transfer.idem_key, transfer.kind, transfer.amount,
        transfer.source_id, transfer.rule, transfer.effective_at, lot.earned_at,
        debit.bucket as debit, credit.bucket as credit, credit.owner_id, keeper.owner_id as keeper,
        coalesce(moved.paid, 0) as paid,
        coalesce(moved.returned, 0) + coalesce(lot.amount, 0) as given,
        debit.account_id is null or credit.account_id is null as nowhere,
        keeper.owner_id <> credit.owner_id as astray,
        transfer.kind in ('earn', 'clawback') and transfer.idem_key not in (
            'earn:' || transfer.source_id || ':-:' || transfer.rule,
            transfer.claim, transfer.claim || ':+',
            transfer.claim || ':' || transfer.origin, transfer.claim || ':' || transfer.origin || ':+'
        ) as misnamed,
        transfer.kind not in ('merge', 'pool', 'revive') and lot.earned_at <> transfer.effective_at as mistimed,
        (transfer.kind || ' ' || debit.bucket || ' ' || credit.bucket) not in ({ways}) as directions,
        debit.account_id is not null and credit.account_id is not null and (
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
        ) as unpaid
    from (
        select
            *, 'clawback:' || source_id || ':' || source_line || ':' || rule as claim,
            coalesce(
                nullif(substr(reverses, 6, length(reverses) - 5 - length(':-:' || rule)), ''), source_id
            ) as origin
        from transfer where programme = :programme
    ) as transfer
    left join account as debit on transfer.debit_id = debit.account_id
    left join account as credit on transfer.credit_id = credit.account_id
    left join lot on transfer.transfer_id = lot.lot_id
    left join account as keeper on lot.account_id = keeper.account_id
    left join (
        select
            transfer_id,
            sum(case when delta < 0 then -delta else 0 end) as paid,
            sum(case when delta > 0 then delta else 0 end) as returned
        from lot_move group by transfer_id
    ) as moved on transfer.transfer_id = moved.transfer_id
) as looked_at
where nowhere or astray or directions or unpaid or misnamed or mistimed
order by transfer_id

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
with system as (select account_id from account where owner_type = 'system')

select asserted, asserted_id, transfers
from (
    select reward_cursor.asserted, reward_cursor.asserted_id, coalesce(sum(
        case when transfer.debit_id in (select account_id from system) then transfer.amount else 0 end
        - case when transfer.credit_id in (select account_id from system) then transfer.amount else 0 end
    ), 0) as transfers
    from reward_cursor
    left join transfer
        on
            reward_cursor.programme = transfer.programme
            and transfer.transfer_id <= reward_cursor.asserted_id
    where reward_cursor.programme = :programme
    group by reward_cursor.asserted, reward_cursor.asserted_id
) as written
where asserted <> transfers
