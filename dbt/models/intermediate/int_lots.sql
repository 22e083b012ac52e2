{{ config(tags=["daily"]) }}

-- What each lot has paid, by what for, and what is left of it, by the days before this one. `spent`
-- counts what is held for somebody, `moved` what went to another member's lot.
with moves as (
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
    lots.bucket,
    lots.amount,
    cast(coalesce(-moves.spent, 0) as bigint) as spent,
    cast(coalesce(-moves.ended, 0) as bigint) as ended,
    cast(coalesce(-moves.moved, 0) as bigint) as moved,
    cast(coalesce(-moves.taken_back, 0) as bigint) as taken_back,
    cast(lots.amount + coalesce(moves.points, 0) as bigint) as remaining,
    lots.earned_at,
    lots.expires_on
from {{ ref("stg_engine__lots") }} as lots
left join moves on lots.programme = moves.programme and lots.idem_key = moves.lot_key
where lots.business_date < {{ business_date() }}
