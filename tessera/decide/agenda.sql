-- name: runs
-- How many messages each campaign planned on each day on which it had a candidate; null: the day held it.
select
    campaign,
    business_date as day,
    case
        when
            count(*) filter (
                reason in ('stale_data', 'broken_template') or decided_by like 'blackout %'
            ) = 0
            then count(*) filter (reason = 'planned')
    end as planned
from read_parquet($files, union_by_name = true)
group by campaign, business_date

-- name: today
select campaign, count(*) filter (reason = 'planned') as planned
from decision
group by campaign
