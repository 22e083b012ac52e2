-- One pass over every candidate of every campaign, in DuckDB. Tables it is given: `course` (a
-- campaign in one version), `step`, `edge`, `condition`, `content`, `slot`, `cap`, `level` and
-- `rhythm` (from the files), `heard_consent`, `preference`, `suppression`, `history` with `kind`, `today`,
-- `reading`, `attention`, `redemption` and `reward` (from the store); the published marts are views of their
-- own names. People, steps and contents go by number from here on: there are millions of candidates, and it is
-- the width of their tables that takes the time.

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

-- name: places
-- In which time zones people are, and at which hour of the day they read best.
select distinct timezone, best_hour from person
union
select null, null

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
            and attention.silent_since <= getvariable('as_of') - to_days(level.silent_days)
    group by attention.customer_id
),

asked as (
    select
        person.*,
        tired.level,
        cast(pace.position as smallint) as pace,
        zone.zone_id,
        word.granted,
        stop.marketing as marketing_stop,
        stop.service as service_stop,
        nullif(greatest(paused.value, cast(getvariable('today') as varchar)), cast(getvariable('today') as varchar))
            as paused_until
    from way as person
    left join word on person.customer_id = word.customer_id and person.channel = word.channel
    left join stop on person.to_hash = stop.address_hash and person.channel = stop.channel
    left join tired on person.customer_id = tired.customer_id
    left join (select * from preference where name = 'paused_until') as paused
        on person.customer_id = paused.customer_id
    left join (select * from preference where name = 'frequency') as frequency
        on person.customer_id = frequency.customer_id
    left join cap as pace on frequency.value = pace.pace
    left join (select distinct timezone, best_hour, zone_id from slot) as zone
        on
            person.timezone is not distinct from zone.timezone
            and person.best_hour is not distinct from zone.best_hour
),

stopped as (
    select
        *,
        cast(case
            when to_hash is null then 'no_address'
            when not coalesce(granted, false) then 'no_consent'
            when
                coalesce(marketing_stop, paused_until, cast(getvariable('stopped') as varchar)) is not null
                then 'suppressed'
            when has_complaint_open then 'complaint_open'
            when bucket_of(draw, getvariable('global_salt')) < getvariable('global_control')
                then 'control_group'
        end as reason) as marketing,
        cast(case
            when to_hash is null then 'no_address' when service_stop is not null then 'suppressed'
        end as reason) as service
    from asked
)

select
    cid,
    draw,
    channel_id,
    zone_id,
    cast(coalesce(level, 0) as tinyint) as level,
    pace,
    marketing,
    service,
    case marketing
        when 'no_address' then channel
        when 'no_consent'
            then concat(channel, ' marketing ', if(granted is null, 'never given', 'withdrawn'))
        when 'suppressed'
            then coalesce(
                marketing_stop, 'paused until ' || paused_until, cast(getvariable('stopped') as varchar)
            )
        when 'complaint_open' then 'complaint'
        when 'control_group' then 'global'
    end as marketing_by,
    if(service = 'no_address', channel, service_stop) as service_by
from stopped

-- name: label
-- Names that come with every message, as numbers.
create type label as enum (
    select unnest([campaign, campaign_version, step, template, variant]) from kind
    union
    select unnest([campaign, step]) from (select distinct campaign, step from today)
    union
    select unnest([campaign, version]) from course
    union
    select unnest([step, template]) from step
    union
    select after_step from edge
    union
    select about from condition
    union
    select unnest([template, variant]) from content
)

-- name: reading
-- When each message was first opened and clicked, and last read; who clicked has opened.
create or replace temp table reading as
with read as (
    select
        send_key,
        min(happened_at) as opened_at,
        min(happened_at) filter (event = 'click') as clicked_at,
        max(happened_at) as read_at
    from (select send_key, event, cast(left(occurred_at, 19) as timestamp) as happened_at from read_event)
    group by send_key
)

select
    message.customer_id,
    message.campaign,
    message.step,
    message.occurrence,
    read.opened_at,
    read.clicked_at,
    read.read_at
from (
    select
        history.send_key,
        history.customer_id,
        each_kind.campaign,
        each_kind.step,
        history.occurrence
    from history
    inner join each_kind on history.kind_id = each_kind.kind_id
    union all
    select send_key, customer_id, campaign::label, step::label, occurrence from today
) as message
inner join read on message.send_key = read.send_key

-- name: attention
-- How many marketing messages in a row each customer has not read, and since when; worked out only where
-- there are levels to hold it against.
create or replace temp view attention as
with read as (
    select customer_id, max(read_at) as read_at
    from reading
    group by customer_id
),

message as (
    select history.customer_id, cast(left(history.send_at, 19) as timestamp) as send_at
    from history
    inner join kind on history.kind_id = kind.kind_id
    where
        kind.purpose = 'marketing'
        and kind.state not in ('cancelled', 'rejected')
        and kind.business_date < cast(getvariable('today') as varchar)
)

select
    message.customer_id,
    count(*) as unread,
    coalesce(max(read.read_at), min(message.send_at)) as silent_since
from message
left join read on message.customer_id = read.customer_id
where read.read_at is null or message.send_at > read.read_at
group by message.customer_id

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

-- name: each_kind
create or replace temp table each_kind as
select
    kind_id,
    campaign::label as campaign,
    campaign_version::label as version,
    step::label as step,
    bits_of(tags, channel, purpose) as tag_bits,
    template::label as template,
    variant::label as variant,
    cast(business_date as date) as business_date,
    state not in ('cancelled', 'rejected') as is_live
from kind

-- name: past
-- What went out, or is about to, on other days: a message that was cancelled or rejected reached
-- nobody.
create or replace temp table past as
select
    person.cid,
    person.gid,
    history.occurrence,
    cast(left(history.send_at, 19) as timestamp) as send_at,
    each_kind.*
from history
inner join person on history.customer_id = person.customer_id
inner join each_kind on history.kind_id = each_kind.kind_id

-- name: going
-- The messages of journeys that may have a candidate today: those of whom something went out so lately that a
-- step could still follow it, and those of members. Of years of messages these are few, and only they are
-- looked at as journeys.
create or replace temp table going as
with written as (
    select
        past.*,
        past.business_date >= getvariable('today') - (
            select max(step.after_days + coalesce(course.valid_days, 30))
            from step
            inner join course on step.course_id = course.course_id
        ) as is_late
    from past
    where past.campaign in (select campaign::label from course)
),

on_the_way as (
    select cid, campaign, occurrence from written where is_late
    union
    select known.cid, course.campaign::label, known.occurrence
    from known
    inner join course on known.course_id = course.course_id
    semi join (select cid, campaign, occurrence from written where not is_late) as early
        on
            known.cid = early.cid
            and course.campaign::label = early.campaign
            and known.occurrence = early.occurrence
)

select * exclude (is_late)
from written
semi join on_the_way using (cid, campaign, occurrence)

-- name: past_step
-- What was kept back counts from the day on which it left, or waits for: of the shop's calendar and the person's
-- the one on which it still is the business date, unless it was.
create or replace temp table past_step as
with zone as (
    select distinct timezone, zone from slot where zone in (select name from pg_timezone_names())
),

dated as (
    select
        going.*,
        -- Of most it is known without asking a calendar: no zone is more than fourteen hours ahead of UTC.
        case
            when going.send_at < going.business_date + interval 10 hours then going.business_date
            when date_in(going.send_at, getvariable('zone')) <= going.business_date then going.business_date
            else greatest(
                going.business_date,
                least(
                    date_in(going.send_at, getvariable('zone')),
                    date_in(going.send_at, coalesce(zone.zone, getvariable('zone')))
                )
            )
        end as left_on
    from going
    inner join person on going.cid = person.cid
    left join zone on person.timezone is not distinct from zone.timezone
)

select
    cid, campaign, occurrence, step,
    max(business_date) as planned_on,
    max(left_on) filter (is_live and business_date < getvariable('today')) as sent_on,
    max(send_at) filter (is_live and business_date < getvariable('today')) as sent_at
from dated
group by cid, campaign, occurrence, step

-- name: journey
-- A journey begins with its first message, and keeps the campaign's version of that day.
create or replace temp table journey as
select
    going.cid,
    going.campaign,
    going.occurrence,
    min(going.send_at) filter (going.is_live) as started_at,
    max(going.business_date) as planned_on,
    arg_max(going.step, going.send_at) as last_step,
    any_value(current.course_id) as current_id,
    coalesce(
        arg_min(begun.course_id, going.send_at) filter (going.is_live),
        any_value(current.course_id)
    ) as course_id
from going
inner join course as current
    on going.campaign = current.campaign::label and current.is_current and current.due_in = 0
left join course as begun
    on going.campaign = begun.campaign::label and going.version = begun.version::label
group by going.cid, going.campaign, going.occurrence

-- name: begun
-- Members who have begun: their next step is not the first.
create or replace temp table begun as
select known.course_id, known.cid, known.occurrence, known.expected_value
from known
semi join (
    select past_step.cid, past_step.occurrence, course.course_id
    from past_step
    inner join course on past_step.campaign = course.campaign::label
) as stepped
    on
        known.cid = stepped.cid
        and known.course_id = stepped.course_id
        and known.occurrence = stepped.occurrence

-- name: candidate
-- The members are candidates for their first step; for who has begun, those steps follow that may be
-- next: those after what was sent, and the last again for who is through.
create or replace temp table candidate as
with begun_member as materialized (
    select
        journey.*,
        begun.cid is not null as is_in_audience,
        coalesce(begun.expected_value, 0) as expected_value
    from journey
    left join begun
        on
            journey.current_id = begun.course_id
            and journey.cid = begun.cid
            and journey.occurrence = begun.occurrence
),

next as materialized (
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
    inner join edge on step.step_id = edge.step_id and past_step.step = edge.after_step::label
    anti join past_step as done
        on
            begun_member.cid = done.cid
            and begun_member.campaign = done.campaign
            and begun_member.occurrence = done.occurrence
            and step.step::label = done.step
    where past_step.sent_on is not null
    group by all
)

select
    known.course_id,
    known.cid,
    known.occurrence,
    known.step_id,
    known.entered_on as counted_from,
    known.expected_value,
    true as is_in_audience,
    cast(null as timestamp) as started_at,
    cast(null as date) as through_on
from known
anti join begun
    on
        known.course_id = begun.course_id
        and known.cid = begun.cid
        and known.occurrence = begun.occurrence
-- Who began today, by a step that was not called or not placed as the first is now, has begun.
anti join (
    select planned.cid, planned.occurrence, first.step_id
    from planned
    inner join course on planned.campaign = course.campaign
    inner join step as first on course.course_id = first.course_id and first.position = 0
    where planned.state not in ('cancelled', 'rejected') and planned.step <> first.step
) as lately
    on
        known.step_id = lately.step_id
        and known.cid = lately.cid
        and known.occurrence = lately.occurrence
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
    on begun_member.current_id = last.course_id and begun_member.last_step = last.step::label
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
        and course.campaign::label = about.campaign
        and candidate.occurrence = about.occurrence
        and condition.about::label = about.step
left join read_step
    on
        candidate.cid = read_step.cid
        and course.campaign::label = read_step.campaign
        and candidate.occurrence = read_step.occurrence
        and condition.about::label = read_step.step
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
    min(reading.opened_at) as opened_at,
    min(reading.clicked_at) as clicked_at
from reading
inner join person on reading.customer_id = person.customer_id
group by person.cid, reading.campaign, reading.occurrence, reading.step

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
        and course.campaign::label = clicked.campaign
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
inner join (
    select past.cid, past.occurrence, past.business_date, course.course_id
    from past
    inner join course on past.campaign = course.campaign::label
    where past.is_live and course.re_entry_after_days is not null
) as past
    on
        candidate.cid = past.cid
        and candidate.course_id = past.course_id
        and candidate.occurrence <> past.occurrence
where candidate.started_at is null
group by candidate.rowid

-- name: turn
-- The content that each unit of a step's draw falls on.
create or replace temp table turn as
select step_id, unnest(range(first_unit, first_unit + weight)) as unit, units, number, content_id
from content

-- name: picked
-- The content for those to whom chance may not give it, since they have seen it or another of its
-- variants: the next that was seen least. `seen`: all were.
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
    inner join content on seen.template = content.template::label
),

them as (
    select candidate.rowid as id, candidate.cid, candidate.course_id, candidate.step_id
    from candidate
    inner join familiar on candidate.cid = familiar.cid and candidate.step_id = familiar.step_id
    where candidate.through_on is null
),

fallen as (
    select
        them.id,
        them.cid,
        course.may_repeat,
        step.contents,
        turn.step_id,
        turn.number
    from person
    inner join them on person.cid = them.cid
    inner join course on them.course_id = course.course_id
    inner join step on them.step_id = step.step_id
    inner join turn
        on
            step.step_id = turn.step_id
            and turn.unit = unit_of(person.draw, step.salt, turn.units)
),

choice as (
    select
        fallen.id,
        fallen.may_repeat,
        content.content_id,
        content.template::label as template,
        seen.seen_on,
        coalesce(seen.times, 0) as times,
        (content.number - fallen.number + fallen.contents) % fallen.contents as turn
    from fallen
    inner join content on fallen.step_id = content.step_id and content.weight > 0
    left join seen on fallen.cid = seen.cid and content.template::label = seen.template
)

select
    id,
    arg_min(content_id, (times, turn)) as content_id,
    if(
        any_value(may_repeat) or min(times) = 0, null,
        concat(arg_min(template, (times, turn)), ' on ', min(seen_on))
    ) as seen
from choice
group by id

-- name: paced
-- Candidates whose campaign's own rhythm is full, and its rule; half as often for the tired.
create or replace temp table paced as
with sent as (
    select cid, campaign, min(send_at) as first_at, list(send_at) as times
    from past
    where is_live and campaign in (select campaign::label from course where cadence is not null)
    group by cid, campaign
),

them as (
    select candidate.rowid as id, candidate.cid, course.channel_id, course.hours_id, course.cadence, sent.*
    from candidate
    inner join course on candidate.course_id = course.course_id
    inner join sent on candidate.cid = sent.cid and course.campaign::label = sent.campaign
),

-- In which phase of the rhythm each is.
phased as (
    select
        them.id,
        any_value(them.times) as times,
        any_value(slot.send_from) as send_from,
        any_value(reach.level) as level,
        min_by(rhythm, rhythm.position) as rhythm
    from reach
    inner join them on reach.cid = them.cid and reach.channel_id = them.channel_id
    inner join slot on them.hours_id = slot.hours_id and reach.zone_id = slot.zone_id
    inner join rhythm on them.cadence = rhythm.cadence
    where
        rhythm.until_day is null
        or slot.send_from < them.first_at + to_days(rhythm.until_day)
    group by them.id
)

select id, rhythm['label'] as label
from phased
where
    len(list_filter(
        times,
        lambda sent_at: sent_at > send_from - to_days(if(level > 0, 2, 1) * rhythm['days'])
    )) >= rhythm['most']

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
-- The messages of today, and why those were given up that were for good.
create or replace temp table planned as
select
    person.cid,
    today.*,
    cast(row_number() over () as integer) as planned_id,
    if(
        state_reason like 'dropped: %', try_cast(split_part(state_reason, ' ', 2) as reason), null
    ) as dropped,
    if(
        state_reason like 'dropped: %',
        nullif(state_reason[len(concat_ws(' ', 'dropped:', split_part(state_reason, ' ', 2), '')) + 1:], ''),
        null
    ) as dropped_by
from today
inner join person on today.customer_id = person.customer_id

-- name: variant_score
-- How the variants of each step did, by day: messages, and those opened, clicked, followed by a purchase. That is
-- one of the goal's days, before the next message of the step to the same person: whatever is bought later
-- would count for all variants, and what a winner brings for those who had had another before.
with message as (
    select
        past.*,
        award.days,
        least(
            past.send_at + to_days(award.days),
            coalesce(
                lead(past.send_at) over (
                    partition by past.cid, past.campaign, past.step order by past.send_at
                ),
                'infinity'
            ),
            getvariable('as_of')
        ) as until
    from past
    left join award on past.campaign = award.campaign::label and past.step = award.step::label
    where past.is_live and past.variant <> '' and past.business_date < getvariable('today')
),

bought as (
    select distinct message.cid, message.campaign, message.step, message.occurrence
    from transactions
    inner join (
        select message.*, person.customer_id
        from message
        inner join person on message.cid = person.cid
        where message.days is not null and message.until > message.send_at
    ) as message
        on
            transactions.customer_id = message.customer_id
            and transactions.sold_at > message.send_at
            and transactions.sold_at < message.until
    where transactions.kind = 'sale'
)

select
    message.campaign, message.step, message.variant, message.business_date,
    count(*) as messages,
    count(read_step.opened_at) as opened,
    count(read_step.clicked_at) as clicked,
    count(bought.cid) as purchased
from message
left join read_step
    on
        message.cid = read_step.cid
        and message.campaign = read_step.campaign
        and message.occurrence = read_step.occurrence
        and message.step = read_step.step
left join bought
    on
        message.cid = bought.cid
        and message.campaign = bought.campaign
        and message.occurrence = bought.occurrence
        and message.step = bought.step
group by message.campaign, message.step, message.variant, message.business_date
order by all
