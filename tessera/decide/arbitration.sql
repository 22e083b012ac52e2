-- What arbitration is given, in DuckDB, as numbers; people, steps and the like in the order of their own.

-- name: person
-- How tired one is and how often one wants to hear from us is the same in all channels.
select person.cid, person.gid, reach.level, reach.pace
from person
left join (
    select * from reach where channel_id = (select min(channel_id) from course)
) as reach on person.cid = reach.cid

-- name: people
select customer_id, household_id, language from person order by cid

-- name: course
select * replace (cast(floor(coalesce(epoch(ends_at), 1e12)) as bigint) as ends_at) from course order by course_id

-- name: step
select step.*, concat(course.campaign, '/', step.step) as said
from step
inner join course on step.course_id = course.course_id
order by step.step_id

-- name: content
select * from content order by content_id

-- name: slot
select
    zone,
    cast(epoch(send_from) as bigint) as opens,
    cast(epoch(send_until) as bigint) as closes
from slot
order by slot_id

-- name: planned
select
    *,
    bits_of(tags, channel, purpose) as bits,
    cast(epoch(cast(left(send_at, 19) as timestamp)) as bigint) as second,
    concat(campaign, '/', step) as said
from planned
order by planned_id

-- name: cap
select position, label, most, minutes * 60 as span, per_household, tag_bits, level, pace
from cap
order by position

-- name: message
-- What counts under the caps and is not judged in this pass: history, and the day's messages of others.
select cid, gid, tag_bits as bits, cast(epoch(send_at) as bigint) as second
from past
where is_live and send_at >= getvariable('since')
union all
select
    planned.cid, person.gid, bits_of(planned.tags, planned.channel, planned.purpose),
    cast(epoch(cast(left(planned.send_at, 19) as timestamp)) as bigint)
from planned
inner join person on planned.cid = person.cid
where
    planned.state not in ('cancelled', 'rejected')
    and planned.campaign not in (select campaign from course where due_in = 0)
order by gid

-- name: spent
-- Of a reward that is limited, those have what is left who come first, whether or not a cap then lets
-- them, and whether or not one has made an earlier pass give their message up: so the same day again
-- says the same, and what was not used is there tomorrow.
with in_line as (
    select
        judged.id,
        judged.planned_id >= 0 as is_dropped,
        reward.reward,
        reward.remaining,
        row_number() over (
            partition by reward.reward
            order by
                course.priority desc, judged.value desc, judged.lot,
                judged.occurrence, judged.cid
        ) as place
    from judged
    inner join course on judged.course_id = course.course_id
    inner join step on judged.step_id = step.step_id
    inner join reward on step.reward = reward.reward
    where course.due_in = 0 and (judged.planned_id < 0) = (judged.reason < 0)
)

select id, reward from in_line
where place > remaining and not is_dropped

-- name: send_key
select place, left(sha256(concat_ws(chr(31), customer_id, campaign, step, occurrence)), 32) as send_key
from named
