{{ config(tags=["daily"]) }}

-- What each lot has paid, by what for, and what is left of it, by the days before this one. `spent`
-- counts what is held for somebody, `held` what of it is held still, `moved` what went to another
-- member's lot. Points that had ended and were taken back all the same are a lot of their own, of
-- which as many have ended less: beside the one in which they ended they count as taken back.
with transfers as (
    select
        programme,
        idem_key,
        kind,
        amount,
        source_id
    from {{ ref("stg_engine__point_transfers") }}
    where business_date < {{ business_date() }}
),

resolved as (
    select distinct
        programme,
        source_id as hold
    from transfers
    where kind in ('redeem', 'void', 'release')
),

revived as (
    select
        programme,
        idem_key,
        amount
    from transfers
    where kind = 'revive'
),

held as (
    select
        moves.programme,
        moves.lot_key,
        -sum(moves.delta) as points
    from {{ ref("stg_engine__lot_moves") }} as moves
    left join resolved
        on moves.programme = resolved.programme and moves.idem_key = resolved.hold
    where
        moves.kind = 'hold'
        and moves.business_date < {{ business_date() }}
        and resolved.hold is null
    group by moves.programme, moves.lot_key
),

moves as (
    select
        programme,
        lot_key,
        sum(delta) as points,
        sum(
            case when kind in ('redeem', 'hold', 'void', 'release', 'reverse') then delta else 0 end
        ) as spent,
        sum(case when kind = 'expire' then delta else 0 end) as ended,
        sum(case when kind in ('merge', 'pool') then delta else 0 end) as moved,
        sum(
            case when kind in ('clawback', 'adjust', 'repay') then delta else 0 end
        ) as taken_back
    from {{ ref("stg_engine__lot_moves") }}
    where business_date < {{ business_date() }}
    group by programme, lot_key
)

select
    lots.programme,
    lots.idem_key,
    lots.customer_id,
    lots.amount,
    cast(coalesce(-moves.spent, 0) as bigint) as spent,
    cast(coalesce(held.points, 0) as bigint) as held,
    cast(coalesce(-moves.ended, 0) - coalesce(revived.amount, 0) as bigint) as ended,
    cast(coalesce(-moves.moved, 0) + coalesce(revived.amount, 0) as bigint) as moved,
    cast(coalesce(-moves.taken_back, 0) as bigint) as taken_back,
    cast(lots.amount + coalesce(moves.points, 0) as bigint) as remaining,
    lots.earned_at,
    lots.expires_on
from {{ ref("stg_engine__lots") }} as lots
left join moves on lots.programme = moves.programme and lots.idem_key = moves.lot_key
left join held on lots.programme = held.programme and lots.idem_key = held.lot_key
left join revived on lots.programme = revived.programme and lots.idem_key = revived.idem_key
where lots.business_date < {{ business_date() }}
