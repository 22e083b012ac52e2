-- Month by month, by the month they end, by the month they came in: the same points, and those that
-- the transfers leave members with.
with movements as (
    select
        programme,
        sum(issued - redeemed - expired - clawed_back) as points
    from {{ ref("liability_by_month") }}
    group by programme
),

legs as (
    select
        programme,
        credit as account,
        amount as points
    from {{ ref("stg_engine__point_transfers") }}
    where business_date < {{ business_date() }}
    union all
    select
        programme,
        debit as account,
        -amount as points
    from {{ ref("stg_engine__point_transfers") }}
    where business_date < {{ business_date() }}
),

held as (
    select
        programme,
        sum(points) as points,
        sum(case when account like '%:held' then points else 0 end) as set_aside,
        sum(case when account like '%:debt' then points else 0 end) as owed
    from legs
    where account like 'member:%'
    group by programme
),

by_expiry as (
    select
        programme,
        sum(points) as points
    from {{ ref("liability_by_expiry") }}
    group by programme
),

by_cohort as (
    select
        programme,
        sum(remaining) as points,
        sum(points - spent - ended - taken_back - remaining) as lost
    from {{ ref("liability_by_cohort") }}
    group by programme
)

select
    held.programme,
    held.points,
    movements.points as by_movements,
    by_expiry.points as by_expiry,
    by_cohort.points as by_cohort
from held
left join movements on held.programme = movements.programme
left join by_expiry on held.programme = by_expiry.programme
left join by_cohort on held.programme = by_cohort.programme
where
    held.points <> coalesce(movements.points, 0)
    or held.points - held.owed <> coalesce(by_expiry.points, 0)
    or held.points - held.owed - held.set_aside <> coalesce(by_cohort.points, 0)
    or by_cohort.lost <> 0
