-- name: runs
-- How many messages each campaign planned on each day, but for days that held it.
select campaign, business_date as day, count(*) filter (reason = 'planned') as planned
from read_parquet($files, union_by_name = true)
group by campaign, business_date
having count(*) filter (reason in ('stale_data', 'broken_template') or decided_by like 'blackout %') = 0

-- name: today
select campaign, count(*) filter (reason = 'planned') as planned
from decision
group by campaign
