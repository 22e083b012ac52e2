-- Who is in which tier; the same text runs on SQLite and PostgreSQL.

-- name: current
-- Each member's last move.
create temporary table tier_now as
select customer_id, tier, until, business_date, position
from (
    select
        tier_move.*,
        row_number() over (
            partition by customer_id order by business_date desc, position desc
        ) as place
    from tier_move where programme = :programme
) as moves
where place = 1

-- name: ending
create temporary table reviewed as
select customer_id from tier_now where tier <> '' and until < :business_date

-- name: risen
-- Whoever earned, or gave back, since the last night.
create temporary table reviewed as
select distinct account.owner_id as customer_id
from transfer
inner join account on account.account_id = transfer.credit_id or account.account_id = transfer.debit_id
where
    transfer.programme = :programme and transfer.transfer_id > :after
    and transfer.kind in ('earn', 'adjust', 'merge') and account.owner_type = 'member'

-- name: worth
-- What each earned within the window, less what was taken back; goods and favours do not count. What
-- somebody earned who was found to be another member counts for the other.
select
    reviewed.customer_id,
    coalesce(tier_now.tier, '') as tier,
    tier_now.business_date,
    tier_now.position,
    coalesce((
        select cast(sum(case when transfer.credit_id = account.account_id then transfer.amount
            else -transfer.amount end) as bigint)
        from account
        inner join transfer
            on
                transfer.credit_id = account.account_id or transfer.debit_id = account.account_id
        where
            account.programme = :programme and account.owner_type = 'member'
            and (
                account.owner_id = reviewed.customer_id
                or account.owner_id in (
                    select points_merge.customer_id from points_merge
                    where
                        points_merge.programme = :programme
                        and points_merge.into_customer_id = reviewed.customer_id
                )
            )
            and account.bucket in ('available', 'pending')
            and transfer.kind in ('earn', 'adjust', 'clawback')
            and transfer.effective_at >= :since and transfer.effective_at < :until
    ), 0) as qualifying
from reviewed
left join tier_now on reviewed.customer_id = tier_now.customer_id
left join points_merge as gone
    on reviewed.customer_id = gone.customer_id and gone.programme = :programme
where gone.customer_id is null
order by reviewed.customer_id
