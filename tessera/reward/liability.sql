-- DuckDB, of the published marts; `totals` runs on the store.

-- name: months
select strftime(month, '%Y-%m') as month, * exclude (programme, month)
from liability_by_month where programme = $programme
order by month

-- name: outstanding
select strftime(expires_in, '%Y-%m') as expires_in, points
from liability_by_expiry where programme = $programme
order by expires_in nulls last

-- name: cohorts
select
    strftime(earned_in, '%Y-%m') as earned_in, * exclude (programme, earned_in, breakage),
    breakage::double as breakage
from liability_by_cohort where programme = $programme
order by earned_in

-- name: deferred
select strftime(month, '%Y-%m') as month, * exclude (programme, month)
from deferral_by_month where programme = $programme
order by month, currency

-- name: totals
select
    coalesce(sum(case when debit.bucket = 'issuance' then transfer.amount else 0 end), 0) as issued,
    coalesce(sum(
        case when credit.bucket = 'breakage' then transfer.amount
            when debit.bucket = 'breakage' then -transfer.amount else 0 end
    ), 0) as expired,
    coalesce(sum(case when credit.bucket = 'issuance' then transfer.amount else 0 end), 0)
        as clawed_back,
    (
        select coalesce(sum(case when bucket = 'debt' then -balance else balance end), 0)
        from account where programme = :programme and owner_type = 'member'
    ) as outstanding,
    (
        select coalesce(sum(lot.remaining), 0)
        from lot inner join account on lot.account_id = account.account_id
        where account.programme = :programme and lot.remaining > 0 and lot.expires_on <= :until
    ) as ending_within_a_year,
    (
        select count(*) from account
        where programme = :programme and owner_type = 'member' and bucket = 'available'
    ) as members
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
where transfer.programme = :programme
