-- Of every member's account: the balance that the engine keeps is the sum of its transfers, and
-- that of its lots where points are in lots. One that only one of the three knows is nothing in the
-- others.
with legs as (
    select
        programme,
        credit as account,
        amount as points
    from {{ ref("stg_engine__point_transfers") }}
    where credit like 'member:%'
    union all
    select
        programme,
        debit as account,
        -amount as points
    from {{ ref("stg_engine__point_transfers") }}
    where debit like 'member:%'
),

transfers as (
    select
        programme,
        account,
        sum(case when account like '%:debt' then -points else points end) as points
    from legs
    group by programme, account
),

balances as (
    select
        programme,
        concat('member:', customer_id, ':', bucket) as account,
        sum(balance) as points
    from {{ ref("stg_engine__point_balances") }}
    group by programme, concat('member:', customer_id, ':', bucket)
),

activated as (
    select
        programme,
        source_id as lot_key
    from {{ ref("stg_engine__point_transfers") }}
    where kind = 'activate'
),

moves as (
    select
        programme,
        lot_key,
        sum(delta) as points
    from {{ ref("stg_engine__lot_moves") }}
    group by programme, lot_key
),

lots as (
    select
        lots.programme,
        concat(
            'member:', lots.customer_id, ':',
            case when activated.lot_key is null then lots.bucket else 'available' end
        ) as account,
        sum(lots.amount + coalesce(moves.points, 0)) as points
    from {{ ref("stg_engine__lots") }} as lots
    left join moves on lots.programme = moves.programme and lots.idem_key = moves.lot_key
    left join activated
        on lots.programme = activated.programme and lots.idem_key = activated.lot_key
    group by
        lots.programme,
        concat(
            'member:', lots.customer_id, ':',
            case when activated.lot_key is null then lots.bucket else 'available' end
        )
),

known as (
    select
        programme,
        account,
        points,
        'transfers' as source
    from transfers
    union all
    select
        programme,
        account,
        points,
        'balances' as source
    from balances
    union all
    select
        programme,
        account,
        points,
        'lots' as source
    from lots
)

select
    programme,
    account,
    coalesce(sum(case when source = 'transfers' then points end), 0) as by_transfers,
    coalesce(sum(case when source = 'balances' then points end), 0) as by_balance,
    coalesce(sum(case when source = 'lots' then points end), 0) as by_lots
from known
group by programme, account
having
    coalesce(sum(case when source = 'transfers' then points end), 0)
    <> coalesce(sum(case when source = 'balances' then points end), 0)
    or (
        (account like '%:available' or account like '%:pending')
        and coalesce(sum(case when source = 'transfers' then points end), 0)
        <> coalesce(sum(case when source = 'lots' then points end), 0)
    )
