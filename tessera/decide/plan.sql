-- What a pass would do, and what it would do otherwise. `decision` is the view of a pass.

-- name: summary
select
    campaign,
    step,
    reason,
    count(*) as decisions,
    strftime(min(send_at), '%Y-%m-%dT%H:%M:%S+00:00') as first_send_at,
    strftime(max(send_at), '%Y-%m-%dT%H:%M:%S+00:00') as last_send_at
from decision
group by campaign, step, reason

-- name: verdicts
select campaign, step, customer_id, occurrence, reason, decided_by, send_at
from decision

-- name: kept
select campaign, step, customer_id, occurrence, reason, decided_by, send_at
from read_parquet($files, union_by_name = true)
where not list_contains($left_out, campaign)

-- name: pair
-- A candidate of either side, with the verdict of each; null: not a candidate.
create or replace temp table pair as
select
    campaign,
    step,
    customer_id,
    occurrence,
    earlier.reason as before,
    earlier.decided_by as before_by,
    earlier.send_at as before_at,
    decision.reason as after,
    decision.decided_by as after_by,
    decision.send_at as after_at
from (select * from read_parquet(getvariable('earlier'))) as earlier
full join decision using (campaign, step, customer_id, occurrence)

-- name: counts
select
    campaign,
    reason,
    cast(sum(before) as bigint) as before,
    cast(sum(after) as bigint) as after
from (
    select campaign, before as reason, count(*) as before, 0 as after from pair
    where before is not null
    group by campaign, before
    union all
    select campaign, after, 0, count(*) from pair
    where after is not null
    group by campaign, after
)
group by campaign, reason

-- name: changed
select
    campaign,
    step,
    customer_id,
    occurrence,
    before,
    before_by,
    strftime(before_at, '%Y-%m-%dT%H:%M:%S+00:00') as before_at,
    after,
    after_by,
    strftime(after_at, '%Y-%m-%dT%H:%M:%S+00:00') as after_at
from pair
where before is distinct from after or before_at is distinct from after_at
order by campaign, customer_id, step, occurrence
limit $limit

-- name: changes
select campaign, count(*) as changed
from pair
where before is distinct from after or before_at is distinct from after_at
group by campaign
