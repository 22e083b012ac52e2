-- What judging is given, in DuckDB, as numbers; days are counted from the business date.

-- name: now
select
    cast(epoch(getvariable('as_of')) as bigint),
    cast(getvariable('stale') as varchar)

-- name: candidate
select
    candidate.rowid as id,
    cast(candidate.course_id as smallint) as course_id,
    candidate.cid,
    cast(candidate.step_id as smallint) as step_id,
    candidate.counted_from as entered_on,
    candidate.occurrence,
    candidate.expected_value
from candidate

-- name: through
select candidate.rowid as id, cast(through_on - getvariable('today') as integer) as through
from candidate
where through_on is not null

-- name: course
select
    channel_id,
    purpose = 'marketing' as is_marketing,
    salt,
    control_group,
    re_entry_after_days,
    valid_days,
    cast(ceil(coalesce(epoch(ends_at), 1e12)) as bigint) as ends_at,
    cast(ends_at as varchar) as not_after,
    held_by is not null as is_held,
    held_by,
    broken_by is not null as is_broken,
    broken_by,
    due_in,
    runs_in,
    hours_id,
    hours,
    campaign
from course
order by course_id

-- name: step
-- `turn`: where the step's turns begin.
select
    step.salt,
    step.after_days,
    drawn.units,
    cast(coalesce(sum(drawn.units) over (
        order by step.step_id rows between unbounded preceding and 1 preceding
    ), 0) as bigint) as turn
from step
left join (select step_id, any_value(units) as units from content group by step_id) as drawn
    on step.step_id = drawn.step_id
order by step.step_id

-- name: turn
-- The content that each unit of a step's draw falls on.
select content_id from turn order by step_id, unit

-- name: slot
select hours_id, zone_id, zone, cast(epoch(send_from) as bigint) as opens from slot order by slot_id

-- name: reach
select
    cid, channel_id, zone_id, draw,
    cast(enum_code(marketing) as tinyint) as marketing,
    cast(enum_code(service) as tinyint) as service,
    marketing_by,
    service_by
from reach

-- name: met_before
select id, cast(planned_on - getvariable('today') as integer) as met from met_before

-- name: over
select id, label as ended_by from over

-- name: unmet
select id, label as unmet from unmet

-- name: picked
select id, content_id, seen from picked

-- name: paced
select id, label as paced from paced

-- name: declined
select candidate.rowid as id, 'topic ' || declined.tag || ' declined' as declined_tag
from candidate
inner join declined on candidate.cid = declined.cid and candidate.course_id = declined.course_id

-- name: planned
select
    candidate.rowid as id,
    planned.planned_id,
    cast(enum_code(planned.dropped) as tinyint) as dropped,
    planned.dropped_by
from candidate
inner join course on candidate.course_id = course.course_id
inner join step on candidate.step_id = step.step_id
inner join planned
    on
        candidate.cid = planned.cid
        and course.campaign = planned.campaign
        and candidate.occurrence = planned.occurrence
        and step.step = planned.step

-- name: still_planned
select
    cast(course.course_id as smallint) as course_id,
    planned.cid,
    planned.occurrence,
    cast(coalesce(step.step_id, -1) as smallint) as step_id,
    cast(0 as bigint) as expected_value,
    planned.planned_id,
    -1 as content_id,
    -1 as slot_id,
    reach.draw,
    coalesce(step.salt, 1) as salt,
    0 as ahead,
    coalesce(enum_code(planned.dropped), -1) as reason,
    planned.dropped_by
from planned
inner join course on planned.campaign = course.campaign and course.is_current and course.due_in = 0
inner join reach on planned.cid = reach.cid and course.channel_id = reach.channel_id
left join step on course.course_id = step.course_id and planned.step = step.step
