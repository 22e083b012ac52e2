-- One pass over every candidate of every campaign, in DuckDB. Tables it is given: `course` (a
-- campaign in one version), `step`, `edge`, `condition`, `content`, `slot`, `cap`, `level` and
-- `rhythm` (from the files), `heard_consent`, `suppression`, `history`, `today`, `reading`,
-- `attention` and `redemption` (from the store); the published marts are views of their own names.
-- People and steps go by number from here on: texts are slow to join.

-- name: bucket
-- 0 to 9,999 for a person in a named draw, from the first eight hex digits of MD5. The draw's name
-- makes each campaign's control group its own; a share only moves the bar.
create or replace macro bucket(draw, customer_id) as (
    cast('0x' || left(md5(concat(draw, chr(31), customer_id)), 8) as uinteger) % 10000
)

-- name: unit_of
-- Where a person falls in the draw of a step's content.
create or replace macro unit_of(campaign, step, customer_id, units) as (
    if(units = 1, 0, bucket(concat(campaign, '/', step), customer_id) * units // 10000)
)

-- name: lot
-- The order among equals: a number nobody chose that is the same every time.
create or replace macro lot(draw, salt) as ((draw * salt) % 4294967296)

-- name: hash_of
-- An address in plain letters is hashed here; one that needs thought, by the function all share.
create or replace macro hash_of(email) as (
    case
        when regexp_full_match(email, '[A-Za-z0-9._%+-]{1,64}@([a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?\.){1,4}[a-z]{2,20}')
            then sha256(lower(email))
        else hash_of_address(email)
    end
)

-- name: hash_of_phone
-- A number with its country; to any other no text message can be sent.
create or replace macro hash_of_phone(phone) as (
    case
        when regexp_full_match(regexp_replace(phone, '[^0-9+]', '', 'g'), '\+[0-9+]{7,}')
            then sha256(regexp_replace(phone, '[^0-9+]', '', 'g'))
    end
)

-- name: person
-- Everybody who may be a candidate, in the order of their ids; who is in an audience but not among
-- the customers has no address.
create or replace temp table person as
with known as (
    select
        customer_id,
        household_id,
        coalesce(nullif(trim(language), ''), getvariable('language')) as language,
        timezone,
        coalesce(has_complaint_open, false) as has_complaint_open,
        hash_of(email) as address_hash,
        {phone_hash} as phone_hash,
        last_purchase_at,
        {satisfaction_score} as satisfaction_score,
        {satisfaction_at} as satisfaction_at
    from customers
    union all by name
    select distinct customer_id, getvariable('language') as language, false as has_complaint_open
    from ({audiences})
    where customer_id not in (select customer_id from customers)
),

numbered as (
    select cast(row_number() over (order by customer_id) as integer) as cid, * from known
)

select
    *,
    {household} as gid,
    cast('0x' || left(md5(customer_id), 8) as ubigint) as draw
from numbered

-- name: member
create or replace temp table member (
    course_id integer, cid integer, occurrence varchar, entered_on date, expected_value bigint
)

-- name: word
-- The latest word of each person on marketing, by channel, from the marts and from the store. A yes counts from
-- the instant we act as of, a no from when it is known; of two words at one instant the no.
create or replace temp table word as
select
    customer_id,
    channel,
    not max({'at': recorded_at, 'no': not granted})['no'] as granted,
    max(recorded_at) as said_at
from (
    select customer_id, channel, purpose, granted, recorded_at from consents
    union all
    select customer_id, channel, purpose, granted = 1, cast(left(recorded_at, 19) as timestamp)
    from heard_consent
)
where
    channel in (select channel from course)
    and purpose = 'marketing' and (not granted or recorded_at <= getvariable('as_of'))
group by customer_id, channel

-- name: reach
-- What stops any message of a purpose and channel to a person, the first rule that does; null: nothing. How
-- tired of us the person is; and what else every candidate is asked, so that one join brings it all.
create or replace temp table reach as
with stop as (
    select
        channel,
        address_hash,
        min(cause) filter (scope in ('all', 'marketing')) as marketing,
        min(cause) filter (scope in ('all', 'service')) as service
    from suppression
    group by channel, address_hash
),

-- Letters go by the customer's number: the retailer's own file holds the addresses.
way as (
    select
        person.*,
        channel.channel_id,
        channel.channel,
        case channel.channel
            when 'email' then person.address_hash
            when 'sms' then person.phone_hash
            else sha256(lower(trim(person.customer_id)))
        end as to_hash
    from person
    cross join (select distinct channel_id, channel from course) as channel
),

tired as (
    select
        attention.customer_id,
        max(level.number) as level
    from attention
    inner join level
        on
            attention.unread >= level.unread
            and cast(left(attention.silent_since, 19) as timestamp)
            <= getvariable('as_of') - to_days(level.silent_days)
    group by attention.customer_id
)

select
    person.cid,
    person.gid,
    person.customer_id,
    person.timezone,
    person.draw,
    coalesce(tired.level, 0) as level,
    frequency.value as pace,
    word.said_at as refused_at,
    person.channel_id,
    case
        when person.to_hash is null then {'reason': 'no_address', 'by': person.channel}
        when not coalesce(word.granted, false)
            then {
                'reason': 'no_consent',
                'by': concat(
                    person.channel, ' marketing ',
                    if(word.granted is null, 'never given', 'withdrawn')
                )
            }
        when stop.marketing is not null then {'reason': 'suppressed', 'by': stop.marketing}
        when paused.value > cast(getvariable('today') as varchar)
            then {'reason': 'suppressed', 'by': concat('paused until ', paused.value)}
        when getvariable('stopped') is not null
            then {'reason': 'suppressed', 'by': cast(getvariable('stopped') as varchar)}
        when person.has_complaint_open then {'reason': 'complaint_open', 'by': 'complaint'}
        when bucket('*', person.customer_id) < getvariable('global_control')
            then {'reason': 'control_group', 'by': 'global'}
    end as marketing,
    case
        when person.to_hash is null then {'reason': 'no_address', 'by': person.channel}
        when stop.service is not null then {'reason': 'suppressed', 'by': stop.service}
    end as service
from way as person
left join word on person.customer_id = word.customer_id and person.channel = word.channel
left join stop on person.to_hash = stop.address_hash and person.channel = stop.channel
left join tired on person.customer_id = tired.customer_id
left join (select * from preference where name = 'paused_until') as paused
    on person.customer_id = paused.customer_id
left join (select * from preference where name = 'frequency') as frequency
    on person.customer_id = frequency.customer_id

-- name: declined
-- Campaigns with a tag that a person has declined in the preference centre.
create or replace temp table declined as
select person.cid, course.course_id, min(topic.tag) as tag
from (
    select customer_id, split_part(name, ':', 2) as tag from preference
    where starts_with(name, 'topic:') and value = 'no'
) as topic
inner join person on topic.customer_id = person.customer_id
inner join course
    on course.purpose = 'marketing' and list_contains(string_split(course.tags, ','), topic.tag)
group by person.cid, course.course_id

-- name: past
-- What went out, or is about to, on other days: a message that was cancelled or rejected reached
-- nobody.
create or replace temp table past as
select
    person.cid,
    person.gid,
    history.campaign,
    history.campaign_version as version,
    history.step,
    history.occurrence,
    history.purpose,
    bits_of(history.tags, history.channel) as tag_bits,
    history.template,
    history.variant,
    cast(history.business_date as date) as business_date,
    cast(left(history.send_at, 19) as timestamp) as send_at,
    history.state not in ('cancelled', 'rejected') as is_live
from history
inner join person on history.customer_id = person.customer_id

-- name: past_step
create or replace temp table past_step as
select
    cid, campaign, occurrence, step,
    max(business_date) as planned_on,
    max(business_date) filter (is_live and business_date < getvariable('today')) as sent_on,
    max(send_at) filter (is_live and business_date < getvariable('today')) as sent_at
from past
where campaign in (select campaign from course)
group by cid, campaign, occurrence, step

-- name: journey
-- A journey begins with its first message, and keeps the campaign's version of that day.
create or replace temp table journey as
select
    past.cid,
    past.campaign,
    past.occurrence,
    min(past.send_at) filter (past.is_live) as started_at,
    max(past.business_date) as planned_on,
    arg_max(past.step, past.send_at) as last_step,
    any_value(current.course_id) as current_id,
    coalesce(
        arg_min(begun.course_id, past.send_at) filter (past.is_live),
        any_value(current.course_id)
    ) as course_id
from past
inner join course as current
    on past.campaign = current.campaign and current.is_current and current.due_in = 0
left join course as begun on past.campaign = begun.campaign and past.version = begun.version
group by past.cid, past.campaign, past.occurrence

-- name: candidate
-- One row per member and step that may be next: the first for who has not begun, those that follow
-- what was sent for who has, and the last again for who is through.
create or replace temp table candidate as
with begun_member as (
    select
        journey.*,
        member.cid is not null as is_in_audience,
        coalesce(member.expected_value, 0) as expected_value
    from journey
    left join member
        on
            journey.current_id = member.course_id
            and journey.cid = member.cid
            and journey.occurrence = member.occurrence
),

next as (
    select
        begun_member.course_id,
        begun_member.cid,
        begun_member.occurrence,
        step.step_id,
        max(past_step.sent_on) as counted_from,
        begun_member.expected_value,
        begun_member.is_in_audience,
        begun_member.started_at,
        cast(null as date) as through_on
    from begun_member
    inner join past_step using (cid, campaign, occurrence)
    inner join step on begun_member.course_id = step.course_id
    inner join edge on step.step_id = edge.step_id and past_step.step = edge.after_step
    where past_step.sent_on is not null
        and (begun_member.cid, begun_member.campaign, begun_member.occurrence, step.step) not in (
            select (cid, campaign, occurrence, step) from past_step
        )
    group by all
)

select
    member.course_id,
    member.cid,
    member.occurrence,
    step.step_id,
    member.entered_on as counted_from,
    member.expected_value,
    true as is_in_audience,
    cast(null as timestamp) as started_at,
    cast(null as date) as through_on
from member
inner join course on member.course_id = course.course_id
inner join step on member.course_id = step.course_id and step.position = 0
left join (select distinct cid, campaign, occurrence from past_step) as begun
    on
        course.campaign = begun.campaign
        and member.cid = begun.cid
        and member.occurrence = begun.occurrence
where begun.cid is null
union all
-- Who left the audience in the middle goes on, but not for ever.
select next.* from next
inner join step on next.step_id = step.step_id
inner join course on next.course_id = course.course_id
where
    next.is_in_audience
    or next.counted_from + step.after_days + coalesce(course.valid_days, 30)
    >= getvariable('today')
union all
select
    begun_member.current_id,
    begun_member.cid,
    begun_member.occurrence,
    coalesce(any_value(last.step_id), any_value(first.step_id)),
    null,
    any_value(begun_member.expected_value),
    true,
    any_value(begun_member.started_at),
    any_value(begun_member.planned_on)
from begun_member
inner join step as first on begun_member.current_id = first.course_id and first.position = 0
left join step as last
    on begun_member.current_id = last.course_id and begun_member.last_step = last.step
left join next
    on
        begun_member.course_id = next.course_id
        and begun_member.cid = next.cid
        and begun_member.occurrence = next.occurrence
where begun_member.is_in_audience and next.cid is null
group by begun_member.current_id, begun_member.cid, begun_member.occurrence

-- name: unmet
-- Candidates of whose step's conditions one is not true, and the first that is not.
create or replace temp table unmet as
select
    candidate.rowid as id,
    min_by(condition.label, condition.position) as label
from candidate
inner join condition on candidate.step_id = condition.step_id
inner join course on candidate.course_id = course.course_id
inner join person on candidate.cid = person.cid
left join past_step as about
    on
        candidate.cid = about.cid
        and course.campaign = about.campaign
        and candidate.occurrence = about.occurrence
        and condition.about = about.step
left join read_step
    on
        candidate.cid = read_step.cid
        and course.campaign = read_step.campaign
        and candidate.occurrence = read_step.occurrence
        and condition.about = read_step.step
left join redemption on person.customer_id = redemption.customer_id
where condition.negated = coalesce(
    about.sent_at is not null and case condition.did
        when 'opened' then read_step.opened_at <= getvariable('as_of')
        when 'clicked' then read_step.clicked_at <= getvariable('as_of')
        when 'purchased' then person.last_purchase_at > about.sent_at
        when 'redeemed' then cast(left(redemption.redeemed_at, 19) as timestamp) > about.sent_at
        when 'scored'
            then
                person.satisfaction_at > about.sent_at
                and person.satisfaction_score between condition.low and condition.high
    end, false
)
group by candidate.rowid

-- name: read_step
create or replace temp table read_step as
select
    person.cid,
    reading.campaign,
    reading.occurrence,
    reading.step,
    cast(left(reading.opened_at, 19) as timestamp) as opened_at,
    cast(left(reading.clicked_at, 19) as timestamp) as clicked_at
from reading
inner join person on reading.customer_id = person.customer_id

-- name: over
-- Journeys that have come to their end before their last step, and what ended them.
create or replace temp table over as
with clicked as (
    select cid, campaign, occurrence, max(clicked_at) as clicked_at
    from read_step
    where clicked_at <= getvariable('as_of')
    group by cid, campaign, occurrence
)

select
    candidate.rowid as id,
    case
        when course.ends_purchased and person.last_purchase_at > candidate.started_at
            then 'purchased'
        when
            course.ends_redeemed
            and cast(left(redemption.redeemed_at, 19) as timestamp) > candidate.started_at
            then 'redeemed'
        when course.ends_clicked and clicked.clicked_at is not null then 'clicked'
        when
            course.ends_unsubscribed
            and not word.granted and word.said_at > candidate.started_at
            then 'unsubscribed'
        when course.ends_complaint and person.has_complaint_open then 'complaint_opened'
        when course.ends_left and not candidate.is_in_audience then 'left_audience'
    end as label
from candidate
inner join course on candidate.course_id = course.course_id
inner join person on candidate.cid = person.cid
left join clicked
    on
        candidate.cid = clicked.cid
        and course.campaign = clicked.campaign
        and candidate.occurrence = clicked.occurrence
left join word on person.customer_id = word.customer_id and course.channel = word.channel
left join redemption on person.customer_id = redemption.customer_id
where candidate.started_at is not null and candidate.through_on is null and label is not null

-- name: met_before
-- When another occurrence of a campaign that waits was last, or will be next, on its way.
create or replace temp table met_before as
select
    candidate.rowid as id,
    arg_min(past.business_date, abs(past.business_date - getvariable('today'))) as planned_on
from candidate
inner join course on candidate.course_id = course.course_id
inner join past
    on
        candidate.cid = past.cid
        and course.campaign = past.campaign
        and candidate.occurrence <> past.occurrence
where past.is_live and candidate.started_at is null and course.re_entry_after_days is not null
group by candidate.rowid

-- name: turn
-- The content that each unit of a step's draw falls on.
create or replace temp table turn as
select step_id, unnest(range(first_unit, first_unit + weight)) as unit, units, number, variant, template
from content

-- name: picked
-- The content for those to whom chance may not give it, since they have seen it or another of its
-- variants: the next that was seen least. `seen_on`: all were.
create or replace temp table picked as
with seen as (
    select cid, template, max(business_date) as seen_on, count(*) as times
    from past
    where is_live
    group by cid, template
),

familiar as (
    select distinct seen.cid, content.step_id
    from seen
    inner join content on seen.template = content.template
),

fallen as (
    select
        candidate.rowid as id,
        candidate.cid,
        course.may_repeat,
        step.contents,
        turn.step_id,
        turn.number
    from candidate
    inner join familiar on candidate.cid = familiar.cid and candidate.step_id = familiar.step_id
    inner join course on candidate.course_id = course.course_id
    inner join step on candidate.step_id = step.step_id
    inner join person on candidate.cid = person.cid
    inner join turn
        on
            step.step_id = turn.step_id
            and turn.unit = unit_of(course.campaign, step.step, person.customer_id, turn.units)
    where candidate.through_on is null
),

choice as (
    select
        fallen.id,
        fallen.may_repeat,
        content.variant,
        content.template,
        seen.seen_on,
        coalesce(seen.times, 0) as times,
        (content.number - fallen.number + fallen.contents) % fallen.contents as turn
    from fallen
    inner join content on fallen.step_id = content.step_id and content.weight > 0
    left join seen on fallen.cid = seen.cid and content.template = seen.template
)

select
    id,
    arg_min(variant, (times, turn)) as variant,
    arg_min(template, (times, turn)) as template,
    if(any_value(may_repeat) or min(times) = 0, null, min(seen_on)) as seen_on
from choice
group by id

-- name: paced
-- Candidates whose campaign's own rhythm is full, and its rule; half as often for the tired.
create or replace temp table paced as
with sent as (
    select cid, campaign, min(send_at) as first_at, list(send_at) as times
    from past
    where is_live and campaign in (select campaign from course where cadence is not null)
    group by cid, campaign
)

select candidate.rowid as id, min_by(rhythm.label, rhythm.position) as label
from candidate
inner join course on candidate.course_id = course.course_id
inner join person on candidate.cid = person.cid
inner join reach on candidate.cid = reach.cid and course.channel_id = reach.channel_id
inner join slot
    on course.hours_id = slot.hours_id and person.timezone is not distinct from slot.timezone
inner join sent on candidate.cid = sent.cid and course.campaign = sent.campaign
inner join rhythm on course.cadence = rhythm.cadence
where
    rhythm.position = (
        select min(phase.position) from rhythm as phase
        where
            phase.cadence = course.cadence
            and (
                phase.until_day is null
                or slot.send_from < sent.first_at + to_days(phase.until_day)
            )
    )
    and len(list_filter(
        sent.times,
        lambda sent_at: sent_at > slot.send_from - to_days(if(reach.level > 0, 2, 1) * rhythm.days)
    )) >= rhythm.most
group by candidate.rowid

-- name: judged
-- Every candidate meets the rules in their order. A verdict is the reason and what decided it;
-- null is still open. `coming_on`: nothing but the day is against it.
create or replace temp table judged as
with asked as (
    select
        candidate.rowid as id,
        candidate.*,
        coalesce(candidate.counted_from, getvariable('today')) + step.after_days as due_on,
        planned.send_key as planned_key,
        planned.state_reason as dropped_for,
        case
            when planned.send_key is not null then null
            when
                course.purpose = 'marketing'
                and reach.marketing['reason'] in ('no_address', 'no_consent')
                then reach.marketing
            when declined.tag is not null
                then {'reason': 'no_consent', 'by': concat('topic ', declined.tag, ' declined')}
            when course.purpose = 'marketing' and reach.marketing is not null then reach.marketing
            when course.purpose = 'service' and reach.service is not null then reach.service
            when
                course.control_group > 0
                and bucket(course.campaign, reach.customer_id) < course.control_group
                then {'reason': 'control_group', 'by': course.campaign}
            when candidate.through_on is not null
                then {'reason': 're_entry', 'by': concat('planned on ', candidate.through_on)}
            when
                abs(met_before.planned_on - getvariable('today')) < course.re_entry_after_days
                then {
                    'reason': 're_entry',
                    'by': concat(
                        'planned on ', met_before.planned_on, ', again after ',
                        course.re_entry_after_days, ' days'
                    )
                }
            when over.label is not null then {'reason': 'exited', 'by': over.label}
        end as early,
        case
            when unmet.label is not null
                then {'reason': 'condition_not_met', 'by': unmet.label}
            when picked.seen_on is not null
                then {
                    'reason': 'repeat_content',
                    'by': concat(picked.template, ' on ', picked.seen_on)
                }
            when getvariable('stale') is not null
                then {'reason': 'stale_data', 'by': cast(getvariable('stale') as varchar)}
            when
                coalesce(candidate.counted_from, getvariable('today')) + step.after_days
                + course.valid_days < getvariable('today')
                then {
                    'reason': 'too_late',
                    'by': concat(
                        'due on ', candidate.counted_from + step.after_days,
                        ', valid for ', course.valid_days, ' days'
                    )
                }
            when course.ends_at <= coalesce(slot.send_from, getvariable('as_of'))
                then {'reason': 'too_late', 'by': concat('not after ', course.ends_at)}
            when course.held_by is not null
                then {'reason': 'outside_window', 'by': course.held_by}
            when slot.send_from is null
                then {'reason': 'outside_window', 'by': concat(course.hours, ' ', slot.zone)}
            when paced.label is not null then {'reason': 'capped', 'by': paced.label}
        end as late,
        picked.variant,
        coalesce(picked.template, step.template) as template,
        if(candidate.through_on is null and picked.id is null, unit_of(
            course.campaign, step.step, reach.customer_id, draw.units
        ), null) as unit,
        reach.gid,
        reach.level,
        reach.pace,
        lot(reach.draw, step.salt) as lot,
        slot.zone,
        slot.send_from,
        slot.send_until,
        course.due_in,
        course.due_on as scheduled_on
    from candidate
    inner join course on candidate.course_id = course.course_id
    inner join step on candidate.step_id = step.step_id
    inner join (select distinct step_id, units from content) as draw
        on candidate.step_id = draw.step_id
    inner join reach on candidate.cid = reach.cid and course.channel_id = reach.channel_id
    left join slot
        on course.hours_id = slot.hours_id and reach.timezone is not distinct from slot.timezone
    left join planned
        on
            candidate.cid = planned.cid
            and course.campaign = planned.campaign
            and candidate.occurrence = planned.occurrence
            and step.step = planned.step
    left join declined
        on candidate.cid = declined.cid and candidate.course_id = declined.course_id
    left join met_before on candidate.rowid = met_before.id
    left join over on candidate.rowid = over.id
    left join unmet on candidate.rowid = unmet.id
    left join picked on candidate.rowid = picked.id
    left join paced on candidate.rowid = paced.id
)

select
    asked.* exclude (
        id, counted_from, is_in_audience, started_at, through_on, early, late, unit
    ) replace (
        coalesce(turn.variant, asked.variant, '') as variant,
        coalesce(turn.template, asked.template) as template
    ),
    if(
        early is null and late is null and planned_key is null,
        nullif(greatest(due_on, scheduled_on), getvariable('today')), null
    ) as coming_on,
    case
        when planned_key is not null then dropped(dropped_for)
        when early is not null then early
        when due_on > getvariable('today')
            then {'reason': 'not_due', 'by': concat('due on ', due_on)}
        else late
    end as verdict
from asked
left join turn on asked.step_id = turn.step_id and asked.unit = turn.unit

-- name: dropped
-- What was given up for good earlier today says why in its message.
create or replace macro dropped(said) as (
    case
        when said like 'dropped: %'
            then {'reason': split_part(said, ' ', 2), 'by': nullif(said[len(concat_ws(' ', 'dropped:', split_part(said, ' ', 2), '')) + 1:], '')}
    end
)

-- name: latecomer
-- Who was written to today and has left the customers since.
insert into person by name
select
    cid, cid as gid, customer_id, getvariable('language') as language,
    false as has_complaint_open, 0 as draw
from (
    select
        cast((select count(*) from person) + row_number() over (order by customer_id) as integer)
            as cid,
        customer_id
    from (select distinct customer_id from today)
    where customer_id not in (select customer_id from person)
)

-- name: planned
create or replace temp table planned as
select person.cid, today.*
from today
inner join person on today.customer_id = person.customer_id

-- name: still_planned
-- What was planned earlier today stays, even if the audience or the campaign has moved on since.
insert into judged by name
select
    course.course_id,
    planned.cid,
    planned.occurrence,
    step.step_id,
    0 as expected_value,
    planned.send_key as planned_key,
    planned.template,
    planned.variant,
    planned.timezone as zone,
    0 as due_in,
    dropped(planned.state_reason) as verdict,
    reach.gid,
    reach.level,
    reach.pace,
    lot(reach.draw, coalesce(step.salt, 1)) as lot
from planned
inner join course on planned.campaign = course.campaign and course.is_current and course.due_in = 0
inner join reach on planned.cid = reach.cid and course.channel_id = reach.channel_id
left join step on course.course_id = step.course_id and planned.step = step.step
where planned.send_key not in (select planned_key from judged where planned_key is not null)

-- name: contender
-- Who passed every rule, in the order slots go: priority, expected value, lot. What was planned
-- earlier today keeps its place; what comes soon holds its own against those of lower priority.
create or replace temp table contender as
select
    *,
    row_number() over (
        partition by gid order by priority desc, is_coming, expected_value desc, lot, occurrence, cid
    ) as rank
from (
    select
        judged.rowid as id,
        judged.cid,
        judged.gid,
        judged.step_id,
        judged.expected_value,
        judged.lot,
        judged.occurrence,
        judged.template,
        judged.level,
        judged.pace,
        course.course_id,
        course.priority,
        course.purpose,
        course.tag_bits,
        judged.planned_key,
        judged.coming_on is not null as is_coming,
        judged.coming_on,
        -- One verdict does for all candidates of a person that are alike under the caps.
        if(judged.coming_on is null, course.class_id, -1 - judged.rowid) as class_id,
        judged.send_from + to_days(coalesce(judged.coming_on - getvariable('today'), 0)) as send_at,
        least(judged.send_until, course.ends_at)
        + to_days(coalesce(judged.coming_on - getvariable('today'), 0)) as send_until
    from judged
    inner join course on judged.course_id = course.course_id
    where
        (judged.verdict is null and judged.due_in = 0)
        or judged.coming_on <= getvariable('today') + getvariable('reserve_days')
)

-- name: spent
-- Of a reward that is limited, those have what is left who come first, whether or not a cap then lets
-- them, and whether or not one has made an earlier pass give their message up: so the same day again
-- says the same, and what was not used is there tomorrow.
create or replace temp table spent as
with in_line as (
    select
        judged.rowid as id,
        judged.planned_key is not null as is_dropped,
        reward.reward,
        reward.remaining,
        row_number() over (
            partition by reward.reward
            order by
                course.priority desc, judged.expected_value desc, judged.lot,
                judged.occurrence, judged.cid
        ) as place
    from judged
    inner join course on judged.course_id = course.course_id
    inner join step on judged.step_id = step.step_id
    inner join reward on step.reward = reward.reward
    where judged.due_in = 0 and (judged.planned_key is null) = (judged.verdict is null)
)

select id, reward from in_line
where place > remaining and not is_dropped

-- name: withhold
delete from contender where id in (select id from spent)

-- name: message
-- What counts under the caps: history (rank 0), the day's messages that this pass does not judge,
-- and those of today with their rank.
create or replace temp table message as
select
    cid, gid, campaign, step, template, purpose, tag_bits, send_at,
    cast(0 as bigint) as rank, false as is_coming, cast(null as date) as coming_on
from past
where is_live and send_at >= getvariable('since')
union all
select
    planned.cid, person.gid, planned.campaign, planned.step, planned.template, planned.purpose,
    bits_of(planned.tags, planned.channel), cast(left(planned.send_at, 19) as timestamp), 0, false, null
from planned
inner join person on planned.cid = person.cid
where
    planned.state not in ('cancelled', 'rejected')
    and planned.campaign not in (select campaign from course where due_in = 0)
union all
select
    contender.cid, contender.gid, planned.campaign, planned.step, planned.template,
    planned.purpose, bits_of(planned.tags, planned.channel), cast(left(planned.send_at, 19) as timestamp),
    contender.rank, false, null
from contender
inner join planned on contender.planned_key = planned.send_key

-- name: waiting
create or replace temp table waiting as
select id, cid, gid, class_id, rank from contender where planned_key is null

-- name: lost
create or replace temp table lost (id bigint, verdict struct(reason varchar, "by" varchar))

-- name: closed
-- People to whom a kind of message can no more be sent in this pass.
create or replace temp table closed (
    cid integer, class_id bigint, verdict struct(reason varchar, "by" varchar)
)

-- name: granted
create or replace temp table granted (id bigint, send_at timestamp)

-- name: contest
-- The best that waits of every person or household, with the caps it must fit under and what is
-- there already. A cap counts the messages less than its span away on either side, so that no
-- span of that length ever holds more.
create or replace temp table contest as
select contender.*, course.campaign, course.may_repeat, step.step
from contender
semi join (select arg_min(id, rank) as id from waiting group by gid) as best
    on contender.id = best.id
inner join course on contender.course_id = course.course_id
inner join step on contender.step_id = step.step_id

-- name: limited
-- Each contest with each cap that it must fit under, and how many messages that cap counts: at the
-- start of the slot all, those that are sure to go, those of earlier days; and, at its end, all.
-- Of today's messages the worst that goes before, the best that goes after, and the last that is yet
-- to come, by their ranks.
create or replace temp table limited as
with bound as (
    select
        contest.id,
        contest.cid,
        contest.gid,
        contest.purpose,
        contest.rank,
        contest.send_at,
        contest.send_until,
        cap.position,
        cap.most,
        cap.per_household,
        cap.tag_bits as cap_bits,
        to_minutes(cap.minutes) as span
    from contest
    inner join cap
        on
            contest.purpose = cap.purpose
            and (cap.tag_bits & contest.tag_bits) = cap.tag_bits
            and (cap.level is null or cap.level = contest.level)
            and (cap.pace is null or cap.pace = contest.pace)
),

near as (
    select
        bound.id,
        bound.position,
        bound.rank as own,
        message.rank,
        message.is_coming,
        message.send_at,
        message.send_at < bound.send_at + bound.span as is_now,
        message.send_at >= bound.send_until - bound.span as is_late
    from bound
    inner join message on bound.gid = message.gid and bound.purpose = message.purpose
    where
        (bound.per_household or bound.cid = message.cid)
        and (bound.cap_bits & message.tag_bits) = bound.cap_bits
        and message.send_at > bound.send_at - bound.span
        and message.send_at < bound.send_until + bound.span
),

counted as (
    select
        id,
        position,
        count(*) filter (is_now) as now,
        count(*) filter (is_now and not is_coming) as firm,
        count(*) filter (is_now and not is_coming and rank = 0) as sent,
        count(*) filter (is_late) as late,
        max(rank) filter (is_now and rank between 1 and own) as better,
        min(rank) filter (is_now and rank > own) as worse,
        max({'at': send_at, 'rank': rank}) filter (is_now and is_coming) as coming
    from near
    group by id, position
)

select
    bound.* exclude (rank),
    coalesce(counted.now, 0) as now,
    coalesce(counted.firm, 0) as firm,
    coalesce(counted.sent, 0) as sent,
    coalesce(counted.late, 0) as late,
    coalesce(counted.better, counted.worse) as rival,
    counted.coming['rank'] as coming
from bound
left join counted on bound.id = counted.id and bound.position = counted.position

-- name: tight
-- Contests for which a cap has no room at the start of their slot, and the first such cap with what
-- takes its place; all others are granted as they are. `is_movable`: the slot's end might do.
create or replace temp table tight as
select
    id,
    bool_and(most > late) as is_movable,
    min(position) filter (sent >= most) as capped,
    min({'position': position, 'rank': rival}) filter (firm >= most) as outranked,
    min({'position': position, 'rank': coming}) filter (now >= most) as reserved
from limited
group by id
having bool_or(now >= most)

-- name: later
-- The first instant of its slot at which a contest that is movable fits: when, under every cap, the
-- oldest of as many messages as it allows has fallen out of its span.
create or replace temp table later as
with met as (
    select
        limited.id,
        limited.position,
        any_value(limited.most) as most,
        any_value(limited.span) as span,
        any_value(limited.send_at) as send_at,
        list(message.send_at order by message.send_at desc) as times
    from limited
    inner join message on limited.gid = message.gid and limited.purpose = message.purpose
    where
        limited.id in (select id from tight where is_movable)
        and (limited.per_household or limited.cid = message.cid)
        and (limited.cap_bits & message.tag_bits) = limited.cap_bits
        and message.send_at > limited.send_at - limited.span
        and message.send_at < limited.send_until + limited.span
    group by limited.id, limited.position
),

free as (
    select id, max(greatest(send_at, times[most] + span)) as at
    from met
    group by id
)

select free.id, any_value(free.at) as at
from free
inner join met on free.id = met.id
group by free.id
having bool_and(len(list_filter(
    met.times, lambda one: one > free.at - met.span and one < free.at + met.span
)) < met.most)

-- name: place
-- When each contest goes, or why it does not.
create or replace temp table place as
with refused as (
    select
        contest.id,
        contest.gid,
        case
            when tight.capped is not null then 'capped'
            when tight.outranked is not null then 'outranked'
            else 'reserved'
        end as reason,
        coalesce(tight.capped, tight.outranked['position'], tight.reserved['position']) as position,
        coalesce(tight.outranked, tight.reserved)['rank'] as rank
    from contest
    inner join tight on contest.id = tight.id
    anti join later on contest.id = later.id
),

named as (
    select
        refused.id,
        concat(course.campaign, '/', step.step, ' on ' || contender.coming_on) as said
    from contender
    inner join refused on contender.gid = refused.gid and contender.rank = refused.rank
    inner join course on contender.course_id = course.course_id
    inner join step on contender.step_id = step.step_id
)

select
    contest.id,
    coalesce(later.at, contest.send_at) as at,
    case
        when refused.reason = 'capped' then {'reason': refused.reason, 'by': cap.label}
        when refused.id is not null
            then {'reason': refused.reason, 'by': concat(named.said, ' (', cap.label, ')')}
    end as verdict
from contest
left join later on contest.id = later.id
left join refused on contest.id = refused.id
left join cap on refused.position = cap.position
left join named on refused.id = named.id

-- name: rival
-- The same step or content twice in one pass.
create or replace temp table rival as
select contest.id, min_by(concat(message.campaign, '/', message.step), message.rank) as winner
from contest
inner join message on contest.cid = message.cid
where
    message.rank > 0
    and not message.is_coming
    and not contest.is_coming
    and (
        (message.campaign = contest.campaign and message.step = contest.step)
        or (message.template = contest.template and not contest.may_repeat)
    )
group by contest.id

-- name: close
insert into closed
select contest.cid, contest.class_id, place.verdict
from contest
inner join place on contest.id = place.id
where place.verdict is not null

-- name: beaten
insert into lost
select rival.id, {'reason': 'outranked', 'by': rival.winner}
from rival
inner join place on rival.id = place.id
where place.verdict is null

-- name: grant
insert into granted
select place.id, place.at
from place
where place.verdict is null and place.id not in (select id from rival)

-- name: place_granted
insert into message
select
    contest.cid, contest.gid, contest.campaign, contest.step, contest.template, contest.purpose,
    contest.tag_bits, granted.send_at, contest.rank, contest.is_coming, contest.coming_on
from contest
inner join granted on contest.id = granted.id

-- name: still_waiting
create or replace temp table waiting as
select waiting.*
from waiting
anti join contest on waiting.id = contest.id
anti join closed on waiting.cid = closed.cid and waiting.class_id = closed.class_id

-- name: outcome
-- What becomes of every candidate of today, and when.
create or replace temp table outcome as
select
    judged.course_id,
    judged.cid,
    judged.step_id,
    judged.occurrence,
    judged.variant,
    judged.template,
    judged.zone,
    judged.expected_value,
    judged.planned_key,
    judged.send_from,
    judged.send_until,
    case
        when judged.verdict is not null then judged.verdict
        when spent.id is not null then {'reason': 'no_reward_left', 'by': spent.reward}
        when lost.verdict is not null then lost.verdict
        when granted.id is null and judged.planned_key is null then closed.verdict
        else {'reason': 'planned', 'by': null}
    end as verdict,
    if(judged.verdict is null, granted.send_at, null) as send_at
from judged
inner join course on judged.course_id = course.course_id
left join granted on judged.rowid = granted.id
left join lost on judged.rowid = lost.id
left join spent on judged.rowid = spent.id
left join closed on judged.cid = closed.cid and course.class_id = closed.class_id
where judged.due_in = 0

-- name: decision
-- What is kept: one row per candidate, no personal data. A message planned earlier today keeps
-- what it was planned with.
create or replace temp view decision as
select
    getvariable('today') as business_date,
    getvariable('as_of') as decided_at,
    course.campaign,
    coalesce(planned.campaign_version, course.version) as campaign_version,
    coalesce(planned.step, step.step) as step,
    coalesce(planned.variant, outcome.variant) as variant,
    person.customer_id,
    coalesce(planned.household_id, person.household_id) as household_id,
    outcome.occurrence,
    coalesce(planned.channel, course.channel) as channel,
    coalesce(planned.purpose, course.purpose) as purpose,
    coalesce(planned.tags, course.tags) as tags,
    coalesce(planned.template, outcome.template) as template,
    coalesce(planned.language, person.language) as language,
    coalesce(planned.timezone, outcome.zone) as timezone,
    course.priority,
    outcome.expected_value,
    outcome.verdict['reason'] as reason,
    outcome.verdict['by'] as decided_by,
    coalesce(outcome.send_at, case
        when outcome.verdict['reason'] = 'planned'
            then cast(left(planned.send_at, 19) as timestamp)
    end) as send_at,
    case
        when outcome.verdict['reason'] <> 'planned' then null
        when planned.send_key is not null then planned.send_key
        else left(sha256(concat_ws(
            chr(31), person.customer_id, course.campaign, step.step, outcome.occurrence
        )), 32)
    end as send_key,
    outcome.planned_key is null as is_new,
    course.drops,
    least(
        outcome.send_until,
        course.ends_at,
        outcome.send_from + to_hours(course.valid_hours)
    ) as not_after,
    course.course_id,
    outcome.cid,
    step.position
from outcome
inner join person on outcome.cid = person.cid
inner join course on outcome.course_id = course.course_id
left join step on outcome.step_id = step.step_id
left join planned on outcome.planned_key = planned.send_key

-- name: kept
select * exclude (is_new, drops, not_after, course_id, cid, position)
from decision
where campaign = getvariable('campaign')
order by cid, position, occurrence

-- name: outbox
-- A row for every message planned, and for every one that is given up because a cap was full.
select
    coalesce(send_key, left(sha256(concat_ws(
        chr(31), customer_id, campaign, step, occurrence
    )), 32)) as send_key,
    customer_id,
    household_id,
    campaign,
    campaign_version,
    step,
    occurrence,
    channel,
    purpose,
    tags,
    template,
    variant,
    language,
    timezone,
    cast(business_date as varchar) as business_date,
    getvariable('stamp') as decided_at,
    strftime(coalesce(send_at, decided_at), '%Y-%m-%dT%H:%M:%S+00:00') as send_at,
    strftime(coalesce(not_after, decided_at), '%Y-%m-%dT%H:%M:%S+00:00') as not_after,
    if(reason = 'planned', 'ready', 'cancelled') as state,
    if(reason = 'planned', null, concat_ws(' ', 'dropped:', reason, decided_by)) as state_reason,
    getvariable('stamp') as state_at
from decision
where
    is_new
    and (reason = 'planned' or (drops and reason in ('capped', 'outranked', 'reserved')))
order by send_at, customer_id, campaign, step

-- name: reward_grant
select decision.send_key, step.reward, decision.customer_id
from decision
inner join step on decision.course_id = step.course_id and decision.step = step.step
where decision.is_new and decision.reason = 'planned' and step.reward is not null
order by decision.send_key

-- name: summary
select
    campaign,
    reason,
    count(*) as candidates,
    strftime(min(send_at), '%Y-%m-%dT%H:%M:%S+00:00') as first_send_at,
    strftime(max(send_at), '%Y-%m-%dT%H:%M:%S+00:00') as last_send_at
from decision
group by all

-- name: variant_score
-- How the variants of each step did: messages, and those opened, clicked, followed by a purchase.
select
    past.campaign, past.step, past.variant,
    count(*) as messages,
    count(read_step.opened_at) as opened,
    count(read_step.clicked_at) as clicked,
    count(*) filter (person.last_purchase_at > past.send_at) as purchased
from past
inner join person on past.cid = person.cid
left join read_step
    on
        past.cid = read_step.cid
        and past.campaign = read_step.campaign
        and past.occurrence = read_step.occurrence
        and past.step = read_step.step
where past.is_live and past.variant <> '' and past.business_date < getvariable('today')
group by past.campaign, past.step, past.variant
order by all
