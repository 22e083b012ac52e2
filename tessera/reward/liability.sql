-- What the programme owes, from the ledger alone; the same text runs on SQLite and PostgreSQL. Months
-- are those of the business date.

-- name: movements
select
    substr(transfer.business_date, 1, 7) as month,
    sum(case when debit.bucket = 'issuance' then transfer.amount else 0 end) as issued,
    sum(case when transfer.kind = 'activate' then transfer.amount else 0 end) as activated,
    sum(case when credit.bucket = 'redeemed' then transfer.amount
        when debit.bucket = 'redeemed' then -transfer.amount else 0 end) as redeemed,
    sum(case when credit.bucket = 'breakage' then transfer.amount else 0 end) as expired,
    sum(case when credit.bucket = 'issuance' then transfer.amount else 0 end) as clawed_back
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
where transfer.programme = :programme and transfer.business_date <= :until
group by substr(transfer.business_date, 1, 7)
order by month

-- name: outstanding
-- Points that members can or will be able to spend, by the month in which they end; null: never.
select substr(lot.expires_on, 1, 7) as expires_in, sum(lot.remaining) as points
from lot inner join account on lot.account_id = account.account_id
where account.programme = :programme and account.owner_type = 'member' and lot.remaining > 0
group by substr(lot.expires_on, 1, 7)
order by (substr(lot.expires_on, 1, 7) is null), expires_in

-- name: holdings
select
    coalesce(sum(case when bucket in ('available', 'pending') then balance end), 0) as lots,
    coalesce(sum(case when bucket = 'held' then balance end), 0) as held,
    coalesce(sum(case when bucket = 'debt' then balance end), 0) as debt
from account where programme = :programme and owner_type = 'member'

-- name: cohorts
-- Of the points given in each month: how many were spent, ended, or are still there. What a merge
-- moved is counted with the lot that it moved to.
select
    substr(lot.earned_at, 1, 7) as earned_in,
    sum(lot.amount) - sum(coalesce(moved.merged, 0)) as points,
    sum(coalesce(moved.spent, 0)) as spent,
    sum(coalesce(moved.ended, 0)) as ended,
    sum(coalesce(moved.taken_back, 0)) as taken_back,
    sum(lot.remaining) as remaining
from lot
inner join account on lot.account_id = account.account_id
left join (
    select
        lot_move.lot_id,
        -sum(case when transfer.kind in ('redeem', 'hold', 'void', 'release', 'reverse')
            then lot_move.delta else 0 end) as spent,
        -sum(case when transfer.kind = 'expire' then lot_move.delta else 0 end) as ended,
        -sum(case when transfer.kind = 'merge' then lot_move.delta else 0 end) as merged,
        -sum(case when transfer.kind in ('clawback', 'adjust', 'repay')
            then lot_move.delta else 0 end) as taken_back
    from lot_move inner join transfer on lot_move.transfer_id = transfer.transfer_id
    group by lot_move.lot_id
) as moved on lot.lot_id = moved.lot_id
where account.programme = :programme
group by substr(lot.earned_at, 1, 7)
order by earned_in
