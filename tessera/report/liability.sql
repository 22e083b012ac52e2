-- What the report says of points owed, from the published marts; several programmes are added up.

-- name: is_known
select count(*) from duckdb_views() where view_name = 'liability_by_month'

-- name: months
select * from (
    select
        strftime(month, '%Y-%m') as month, sum(issued)::bigint as issued,
        sum(redeemed)::bigint as redeemed, sum(expired)::bigint as expired,
        sum(clawed_back)::bigint as clawed_back, sum(outstanding)::bigint as outstanding,
        sum(liability)::bigint as liability,
        max(to_json(owed) ->> 'currency') as currency  -- marts of an earlier version have none
    from liability_by_month as owed group by month
    order by month desc limit $months
) order by month

-- name: ends
select strftime(expires_in, '%Y-%m') as month, sum(points)::bigint as points
from liability_by_expiry group by expires_in
order by expires_in nulls last

-- name: cohorts
select * from (
    select
        strftime(earned_in, '%Y-%m') as month, sum(points)::bigint as points,
        sum(spent)::bigint as spent, sum(ended)::bigint as ended,
        sum(taken_back)::bigint as taken_back, sum(remaining)::bigint as remaining,
        (100 * sum(ended) / nullif(sum(spent + ended), 0))::integer as breakage
    from liability_by_cohort group by earned_in
    order by month desc limit $months
) order by month

-- name: deferred
select strftime(max(month), '%Y-%m') as month, currency, arg_max(sales, month) as sales,
    arg_max(deferred, month) as deferred
from deferral_by_month
where deferred is not null
group by currency
order by currency
