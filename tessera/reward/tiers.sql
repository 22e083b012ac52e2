-- Who is in which tier; the same text runs on SQLite and PostgreSQL. CROSS JOIN makes SQLite begin
-- with the few members reviewed.

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
-- Whoever earned, or gave back, since the last night; and who was given points, where a level asks for none.
-- And whoever turned out tonight to be another, who may have spent all that they earned.
create temporary table reviewed as
select into_customer_id as customer_id from points_merge
where programme = :programme and merged_at >= :today
union
select account.owner_id
from transfer cross join account
where
    account.account_id in (transfer.credit_id, transfer.debit_id)
    and account.programme = :programme and transfer.transfer_id > :after
    and transfer.kind in ('earn', 'adjust', 'merge', 'grant') and account.owner_type = 'member'

-- name: everybody
-- Whoever earned ever: the tiers themselves are others than the night before.
create temporary table reviewed as
select distinct owner_id as customer_id from account
where programme = :programme and owner_type = 'member' and bucket in ('available', 'pending')

-- name: known_levels
-- By which levels the last night reviewed, as the name of a step, and up to which transfer.
select step, counts from reward_night
where programme = :programme and substr(step, 1, 7) = 'tiers: '
order by business_date desc, done_at desc limit 1

-- name: know_levels
-- A night beside another, or one that was killed before it came here, leaves none of its own to nobody.
insert into reward_night (programme, business_date, step, done_at, counts)
select
    :programme, :business_date, :step, :at,
    '{"through": ' || coalesce(max(transfer.transfer_id), 0) || '}'
from transfer
where true
on conflict (programme, business_date, step) do update
set done_at = excluded.done_at, counts = excluded.counts

-- name: worth
-- What each earned within the window, less what was taken back; favours do not count. What somebody
-- earned who was found to be another member counts for the other.
with kin as (
    select customer_id, customer_id as owner_id from reviewed
    union all
    select reviewed.customer_id, points_merge.customer_id
    from reviewed cross join points_merge
    where
        points_merge.into_customer_id = reviewed.customer_id and points_merge.programme = :programme
),

holding as (
    select kin.customer_id, account.account_id
    from kin cross join account
    where
        account.owner_id = kin.owner_id and account.programme = :programme
        and account.owner_type = 'member' and account.bucket in ('available', 'pending')
),

leg as (
    select holding.customer_id, transfer.amount as points, transfer.kind, transfer.effective_at
    from holding cross join transfer
    where transfer.credit_id = holding.account_id
    union all
    select holding.customer_id, -transfer.amount, transfer.kind, transfer.effective_at
    from holding cross join transfer
    where transfer.debit_id = holding.account_id
),

earned as (
    select customer_id, cast(sum(points) as bigint) as points
    from leg
    where
        kind in ({kinds})
        and effective_at >= :since and effective_at < :until
    group by customer_id
)

select
    reviewed.customer_id,
    coalesce(tier_now.tier, '') as tier,
    tier_now.business_date,
    tier_now.position,
    coalesce(earned.points, 0) as qualifying
from reviewed
left join earned on reviewed.customer_id = earned.customer_id
left join tier_now on reviewed.customer_id = tier_now.customer_id
left join points_merge as gone
    on reviewed.customer_id = gone.customer_id and gone.programme = :programme
where gone.customer_id is null
order by reviewed.customer_id
