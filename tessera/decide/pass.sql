-- One pass over every candidate of every campaign, in DuckDB. Tables it is given: `course` (a
-- campaign in one version), `step`, `edge`, `condition`, `content`, `slot`, `cap`, `level` and
-- `rhythm` (from the files), `heard_consent`, `preference`, `suppression`, `history` with `kind`, `today`,
-- `reading`, `attention`, `redemption` and `reward` (from the store); the published marts are views of their
-- own names. People, steps and contents go by number from here on: there are millions of candidates, and it is
-- the width of their tables that takes the time.

-- name: reason
create type reason as enum ({reasons})

-- name: stirred
create or replace macro stirred(number, bits, times) as (
    (xor(number, number >> bits) * times) & 4294967295
)

-- name: mixed
-- A person's 32 bits once more, for one draw: as good as new ones, and a tenth of the time of a digest.
create or replace macro mixed(draw, salt) as (
    stirred(
        stirred(xor(cast(draw as ubigint), cast(salt as ubigint)), 16, cast(2146121005 as ubigint)),
        15, cast(2221713035 as ubigint)
    )
)

-- name: bucket_of
-- 0 to 9,999. The salt of a draw makes each campaign's control group its own; a share only moves the bar.
create or replace macro bucket_of(draw, salt) as ((mixed(draw, salt) * 10000) >> 32)

-- name: unit_of
-- Where a person's draw falls among the units of a step's content.
create or replace macro unit_of(draw, salt, units) as (
    if(units = 1, 0, (mixed(draw, salt) * units) >> 32)
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
-- Who may be written to about what: at first the members, each for the first step.
create or replace temp table candidate (
    course_id integer, cid integer, occurrence varchar, step_id integer, counted_from date,
    expected_value bigint, is_in_audience boolean, started_at timestamp, through_on date
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
    left join (select distinct timezone, zone_id from slot) as zone
        on person.timezone is not distinct from zone.timezone
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
    gid,
    customer_id,
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

-- name: reading
-- When each message was first opened and clicked, and last read; who clicked has opened.
create or replace temp table reading as
select
    message.customer_id,
    message.campaign,
    message.step,
    message.occurrence,
    min(read_event.occurred_at) as opened_at,
    min(read_event.occurred_at) filter (read_event.event = 'click') as clicked_at,
    max(read_event.occurred_at) as read_at
from (
    select history.send_key, history.customer_id, kind.campaign, kind.step, history.occurrence
    from history
    inner join kind on history.kind_id = kind.kind_id
    union all
    select send_key, customer_id, campaign, step, occurrence from today
) as message
inner join read_event on message.send_key = read_event.send_key
group by message.send_key, message.customer_id, message.campaign, message.step, message.occurrence

-- name: attention
-- How many marketing messages in a row each customer has not read, and since when; worked out only where
-- there are levels to hold it against.
create or replace temp view attention as
with read as (
    select customer_id, max(read_at) as read_at
    from reading
    group by customer_id
)

select
    history.customer_id,
    count(*) as unread,
    coalesce(max(read.read_at), min(history.send_at)) as silent_since
from history
inner join kind on history.kind_id = kind.kind_id
left join read on history.customer_id = read.customer_id
where
    kind.purpose = 'marketing'
    and kind.state not in ('cancelled', 'rejected')
    and kind.business_date < cast(getvariable('today') as varchar)
    and (read.read_at is null or history.send_at > read.read_at)
group by history.customer_id

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
with each_kind as (
    select
        kind_id,
        campaign,
        campaign_version as version,
        step,
        purpose,
        bits_of(tags, channel, purpose) as tag_bits,
        template,
        variant,
        cast(business_date as date) as business_date,
        state not in ('cancelled', 'rejected') as is_live
    from kind
)

select
    person.cid,
    person.gid,
    history.occurrence,
    cast(left(history.send_at, 19) as timestamp) as send_at,
    each_kind.* exclude (kind_id)
from history
inner join person on history.customer_id = person.customer_id
inner join each_kind on history.kind_id = each_kind.kind_id

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

-- name: begun
-- Members who have begun: their next step is not the first.
create or replace temp table begun as
select
    candidate.rowid as id, candidate.course_id, candidate.cid, candidate.occurrence,
    candidate.expected_value
from candidate
inner join course on candidate.course_id = course.course_id
semi join past_step
    on
        candidate.cid = past_step.cid
        and course.campaign = past_step.campaign
        and candidate.occurrence = past_step.occurrence

-- name: candidate
-- The members are candidates for their first step; for who has begun, those steps follow that may be
-- next: those after what was sent, and the last again for who is through.
insert into candidate by name
with begun_member as (
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
    min(cast(left(reading.opened_at, 19) as timestamp)) as opened_at,
    min(cast(left(reading.clicked_at, 19) as timestamp)) as clicked_at
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
            and turn.unit = unit_of(person.draw, step.salt, turn.units)
    where candidate.through_on is null
),

choice as (
    select
        fallen.id,
        fallen.may_repeat,
        content.content_id,
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
    where is_live and campaign in (select campaign from course where cadence is not null)
    group by cid, campaign
)

select candidate.rowid as id, min_by(rhythm.label, rhythm.position) as label
from candidate
inner join course on candidate.course_id = course.course_id
inner join reach on candidate.cid = reach.cid and course.channel_id = reach.channel_id
inner join slot on course.hours_id = slot.hours_id and reach.zone_id = slot.zone_id
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

-- name: apart
-- What is known of some candidates only, so that the many are joined once.
create or replace temp table apart as
select
    id,
    bool_or(is_begun) as is_begun,
    any_value(planned_on) as met_on,
    any_value(ended_by) as ended_by,
    any_value(unmet) as unmet,
    any_value(content_id) as content_id,
    any_value(seen) as seen,
    any_value(paced) as paced
from (
    select id, true as is_begun from begun
    union all by name
    select id, planned_on from met_before
    union all by name
    select id, label as ended_by from over
    union all by name
    select id, label as unmet from unmet
    union all by name
    select id, content_id, seen from picked
    union all by name
    select id, label as paced from paced
)
group by id

-- name: judged
-- Every candidate meets the rules in their order: the reason, and what decided it; null is still open.
-- `coming_on`: nothing but the day is against it. There are millions, so it holds numbers of what the
-- small tables say.
create or replace temp table judged as
with asked as (
    select
        candidate.*,
        step.after_days,
        coalesce(candidate.counted_from, getvariable('today')) + step.after_days as waits_until,
        planned.planned_id,
        planned.dropped,
        planned.dropped_by,
        declined.tag as declined_tag,
        apart.met_on,
        apart.ended_by,
        apart.unmet,
        apart.seen,
        apart.paced,
        apart.content_id,
        draw.units,
        reach.gid,
        reach.level,
        reach.pace,
        reach.marketing,
        reach.marketing_by,
        reach.service_by,
        cast(lot(reach.draw, step.salt) as uinteger) as lot,
        slot.slot_id,
        slot.zone,
        course.hours,
        course.campaign,
        course.re_entry_after_days,
        course.valid_days,
        course.ends_at,
        course.held_by,
        course.due_on as scheduled_on,
        course.purpose = 'marketing' as is_marketing,
        case
            when planned.planned_id is not null then 'planned'
            when course.purpose = 'marketing' and reach.marketing in ('no_address', 'no_consent')
                then reach.marketing
            when declined.tag is not null then 'no_consent'
            when course.purpose = 'marketing' then reach.marketing
            else reach.service
        end as stop,
        bucket_of(reach.draw, course.salt) < course.control_group as is_in_control,
        unit_of(reach.draw, step.salt, draw.units) as unit,
        apart.ended_by is not null as is_over,
        case
            when apart.unmet is not null then 'condition_not_met'
            when apart.seen is not null then 'repeat_content'
            when getvariable('stale') is not null then 'stale_data'
            when
                waits_until + course.valid_days < getvariable('today')
                or course.ends_at <= coalesce(slot.send_from, getvariable('as_of'))
                then 'too_late'
            when course.held_by is not null or slot.send_from is null then 'outside_window'
            when apart.paced is not null then 'capped'
        end as late
    from candidate
    inner join course on candidate.course_id = course.course_id
    inner join step on candidate.step_id = step.step_id
    inner join (select distinct step_id, units from content) as draw
        on candidate.step_id = draw.step_id
    inner join reach on candidate.cid = reach.cid and course.channel_id = reach.channel_id
    left join slot on course.hours_id = slot.hours_id and reach.zone_id = slot.zone_id
    left join planned
        on
            candidate.cid = planned.cid
            and course.campaign = planned.campaign
            and candidate.occurrence = planned.occurrence
            and step.step = planned.step
    left join declined
        on candidate.cid = declined.cid and candidate.course_id = declined.course_id
    left join apart on candidate.rowid = apart.id
    where apart.is_begun is null
),

drawn as (
    select
        asked.* exclude (content_id),
        if(through_on is null, coalesce(asked.content_id, turn.content_id), null) as content_id,
        case
            when stop = 'planned' then null
            when stop is not null then stop
            when is_in_control then 'control_group'
            when
                through_on is not null
                or abs(met_on - getvariable('today')) < re_entry_after_days
                then 're_entry'
            when is_over then 'exited'
        end as early
    from asked
    left join turn
        on
            asked.step_id = turn.step_id
            and asked.unit = turn.unit
),

found as (
    select
        *,
        cast(case
            when planned_id is not null then dropped
            when early is not null then early
            when waits_until > getvariable('today') then 'not_due'
            else late
        end as reason) as reason
    from drawn
)

select
    course_id,
    cid,
    occurrence,
    step_id,
    expected_value,
    planned_id,
    content_id,
    slot_id,
    gid,
    level,
    pace,
    lot,
    if(
        early is null and late is null and planned_id is null,
        nullif(greatest(waits_until, scheduled_on), getvariable('today')), null
    ) as coming_on,
    reason,
    if(planned_id is not null, dropped_by, case reason
        when 'no_address' then if(is_marketing, marketing_by, service_by)
        when 'no_consent'
            then if(
                is_marketing and marketing = 'no_consent', marketing_by,
                concat('topic ', declined_tag, ' declined')
            )
        when 'suppressed' then if(is_marketing, marketing_by, service_by)
        when 'complaint_open' then marketing_by
        when 'control_group' then if(is_marketing and marketing is not null, marketing_by, campaign)
        when 're_entry'
            then coalesce(
                'planned on ' || through_on,
                concat('planned on ', met_on, ', again after ', re_entry_after_days, ' days')
            )
        when 'exited' then ended_by
        when 'not_due' then concat('due on ', waits_until)
        when 'condition_not_met' then unmet
        when 'repeat_content' then seen
        when 'stale_data' then cast(getvariable('stale') as varchar)
        when 'too_late'
            then if(
                waits_until + valid_days < getvariable('today'),
                concat('due on ', counted_from + after_days, ', valid for ', valid_days, ' days'),
                concat('not after ', ends_at)
            )
        when 'outside_window' then coalesce(held_by, concat(hours, ' ', zone))
        when 'capped' then paced
    end) as decided_by
from found

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

-- name: still_planned
-- What was planned earlier today stays, even if the audience or the campaign has moved on since.
insert into judged by name
select
    course.course_id,
    planned.cid,
    planned.occurrence,
    step.step_id,
    0 as expected_value,
    planned.planned_id,
    planned.dropped as reason,
    planned.dropped_by as decided_by,
    reach.gid,
    reach.level,
    reach.pace,
    lot(reach.draw, coalesce(step.salt, 1)) as lot
from planned
inner join course on planned.campaign = course.campaign and course.is_current and course.due_in = 0
inner join reach on planned.cid = reach.cid and course.channel_id = reach.channel_id
left join step on course.course_id = step.course_id and planned.step = step.step
where planned.planned_id not in (select planned_id from judged where planned_id is not null)

-- name: spent
-- Of a reward that is limited, those have what is left who come first, whether or not a cap then lets
-- them, and whether or not one has made an earlier pass give their message up: so the same day again
-- says the same, and what was not used is there tomorrow.
create or replace temp table spent as
with in_line as (
    select
        judged.rowid as id,
        judged.planned_id is not null as is_dropped,
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
    where course.due_in = 0 and (judged.planned_id is null) = (judged.reason is null)
)

select id, reward from in_line
where place > remaining and not is_dropped


-- name: contender
-- Who passed every rule, in the order slots go within a household: priority, expected value, lot. What was
-- planned earlier today keeps its place; what comes soon holds its own against those of lower priority.
create or replace temp table contender as
select
    judged.rowid as id,
    judged.cid,
    judged.gid,
    -- One verdict does for all candidates of a person that are alike under the caps.
    if(judged.coming_on is null, course.class_id, -1 - judged.rowid) as class_id,
    judged.course_id,
    judged.step_id,
    judged.content_id,
    judged.slot_id,
    judged.level,
    judged.pace,
    judged.planned_id,
    judged.coming_on
from judged
inner join course on judged.course_id = course.course_id
anti join spent on judged.rowid = spent.id
where
    (judged.reason is null and course.due_in = 0)
    or judged.coming_on <= getvariable('today') + getvariable('reserve_days')
order by
    judged.gid, course.priority desc, judged.coming_on is not null, judged.expected_value desc,
    judged.lot, judged.occurrence, judged.cid

-- name: ranked
create or replace temp view ranked as
select *, rowid + 1 as rank from contender

-- name: message
-- What counts under the caps: history (rank 0), the day's messages that this pass does not judge,
-- and those of today with their rank.
create or replace temp table message as
select
    cid, gid, tag_bits, cast(epoch(send_at) as bigint) as second, cast(0 as bigint) as rank,
    cast(null as integer) as step_id, cast(null as date) as coming_on
from past
where is_live and send_at >= getvariable('since')
union all
select
    planned.cid, person.gid, bits_of(planned.tags, planned.channel, planned.purpose),
    cast(epoch(cast(left(planned.send_at, 19) as timestamp)) as bigint), 0, null, null
from planned
inner join person on planned.cid = person.cid
where
    planned.state not in ('cancelled', 'rejected')
    and planned.campaign not in (select campaign from course where due_in = 0)
union all
select
    ranked.cid, ranked.gid, bits_of(planned.tags, planned.channel, planned.purpose),
    cast(epoch(cast(left(planned.send_at, 19) as timestamp)) as bigint), ranked.rank, ranked.step_id, null
from ranked
inner join planned on ranked.planned_id = planned.planned_id

-- name: taken
-- The steps and contents that people get today.
create or replace temp table taken as
select ranked.cid, ranked.rank, planned.campaign, planned.step, planned.template
from ranked
inner join planned on ranked.planned_id = planned.planned_id

-- name: bound
-- The caps that hold for each kind of contest, and for how many seconds.
create or replace temp table bound as
select
    kind.*, cap.position, cap.most, cap.minutes * 60 as span, cap.per_household,
    cap.tag_bits as counted_bits
from (
    select distinct course.tag_bits, contender.level, contender.pace
    from contender
    inner join course on contender.course_id = course.course_id
) as kind
inner join cap
    on
        (cap.tag_bits & kind.tag_bits) = cap.tag_bits
        and (cap.level is null or cap.level = kind.level)
        and (cap.pace is null or cap.position = kind.pace)

-- name: head
-- The first of each person's candidates that are alike under the caps: only the others' fate hangs on it.
create or replace temp table head as
with first as (
    select gid, min(rank) as rank
    from ranked
    where planned_id is null
    group by gid, cid, class_id
)

select ranked.* exclude (planned_id)
from ranked
semi join first on ranked.gid = first.gid and ranked.rank = first.rank

-- name: lost
create or replace temp table lost (id bigint, winner varchar)

-- name: closed
-- People to whom a kind of message can no more be sent in this pass: the cap, and what takes the place.
create or replace temp table closed (
    cid integer, class_id bigint, reason reason, "position" integer, step_id integer, coming_on date
)

-- name: granted
create or replace temp table granted (id bigint, send_at timestamp)

-- name: contest
-- The best that waits of every person or household, with the seconds of its slot.
create or replace temp table contest as
select
    head.*,
    course.tag_bits,
    cast(epoch(slot.send_from) as bigint) + ahead as opens,
    cast(epoch(least(slot.send_until, course.ends_at)) as bigint) + ahead as closes
from (
    select *, coalesce(coming_on - getvariable('today'), 0) * 86400 as ahead from head
) as head
semi join (select gid, min(rank) as rank from head group by gid) as best
    on head.gid = best.gid and head.rank = best.rank
inner join course on head.course_id = course.course_id
inner join slot on head.slot_id = slot.slot_id

-- name: pair
-- Two numbers in one that compares by the first and then the second: many times faster than a struct.
create or replace macro pair(first, second) as (first * 4294967296 + second)

-- name: second_of
create or replace macro second_of(pair) as (pair & 4294967295)

-- name: tight
-- Contests for which a cap has no room at the start of their slot, and the first such cap with what
-- takes its place; all others are granted as they are. A cap counts the messages less than its span away
-- on either side, so that no span of that length ever holds more: at the start of the slot all (`now`),
-- those that are sure to go (`firm`), those of earlier days (`sent`); and, at its end, all (`late`). Of
-- today's messages the worst that goes before, the best that goes after, and the last that is yet to
-- come, by their ranks. `is_movable`: the slot's end might do.
create or replace temp table tight as
with near as (
    select
        contest.id,
        contest.rank as own,
        bound.position,
        message.rank,
        message.coming_on is not null as is_coming,
        message.second,
        message.second < contest.opens + bound.span as is_now,
        message.second >= contest.closes - bound.span as is_late
    from contest
    inner join message on contest.gid = message.gid
    inner join bound
        on
            contest.tag_bits = bound.tag_bits
            and contest.level = bound.level
            and contest.pace is not distinct from bound.pace
    where
        (bound.per_household or contest.cid = message.cid)
        and (bound.counted_bits & message.tag_bits) = bound.counted_bits
        and message.second > contest.opens - bound.span
        and message.second < contest.closes + bound.span
    union all by name
    -- Where nothing may be sent it takes no message to be full.
    select contest.id, contest.rank as own, bound.position
    from contest
    inner join bound
        on
            contest.tag_bits = bound.tag_bits
            and contest.level = bound.level
            and contest.pace is not distinct from bound.pace
    where bound.most = 0
),

counted as (
    select
        id,
        position,
        count(*) filter (is_now) as now,
        count(*) filter (is_now and not is_coming) as firm,
        count(*) filter (is_now and rank = 0) as sent,
        count(*) filter (is_late) as late,
        max(if(is_now and rank between 1 and own, rank, null)) as better,
        min(if(is_now and rank > own, rank, null)) as worse,
        max(if(is_now and is_coming, pair(second, rank), null)) as coming
    from near
    group by id, position
)

select
    counted.id,
    bool_and(cap.most > counted.late) as is_movable,
    min(cap.position) filter (counted.sent >= cap.most) as capped,
    min(pair(cap.position, coalesce(counted.better, counted.worse)))
        filter (counted.firm >= cap.most) as outranked,
    min(pair(cap.position, second_of(counted.coming))) filter (counted.now >= cap.most) as reserved
from counted
inner join cap on counted.position = cap.position
where counted.now >= cap.most or counted.late >= cap.most
group by counted.id
having bool_or(counted.now >= cap.most)

-- name: later
-- The first instant of its slot at which a contest that is movable fits: when, under every cap, the
-- oldest of as many messages as it allows has fallen out of its span.
create or replace temp table later as
with met as (
    select
        contest.id,
        bound.position,
        any_value(bound.most) as most,
        any_value(bound.span) as span,
        any_value(contest.opens) as opens,
        list(message.second order by message.second desc) as times
    from contest
    semi join (select id from tight where is_movable) as movable on contest.id = movable.id
    inner join message on contest.gid = message.gid
    inner join bound
        on
            contest.tag_bits = bound.tag_bits
            and contest.level = bound.level
            and contest.pace is not distinct from bound.pace
    where
        (bound.per_household or contest.cid = message.cid)
        and (bound.counted_bits & message.tag_bits) = bound.counted_bits
        and message.second > contest.opens - bound.span
        and message.second < contest.closes + bound.span
    group by contest.id, bound.position
),

free as (
    select id, max(greatest(opens, times[most] + span)) as second
    from met
    group by id
)

select free.id, any_value(free.second) as second
from free
inner join met on free.id = met.id
group by free.id
having bool_and(len(list_filter(
    met.times, lambda one: one > free.second - met.span and one < free.second + met.span
)) < met.most)

-- name: refused
-- The contests that do not go, why, and the message that has the place.
create or replace temp table refused as
with filled as (
    select
        tight.id,
        case
            when tight.capped is not null then 'capped'
            when tight.outranked is not null then 'outranked'
            else 'reserved'
        end as reason,
        coalesce(tight.capped, coalesce(tight.outranked, tight.reserved) >> 32) as position,
        second_of(coalesce(tight.outranked, tight.reserved)) as rank
    from tight
    anti join later on tight.id = later.id
)

select
    contest.id,
    contest.cid,
    contest.class_id,
    cast(filled.reason as reason) as reason,
    cast(filled.position as integer) as position,
    if(filled.reason = 'capped', null, message.step_id) as step_id,
    if(filled.reason = 'capped', null, message.coming_on) as coming_on
from contest
inner join filled on contest.id = filled.id
left join (select * from message where rank > 0) as message
    on contest.gid = message.gid and filled.rank = message.rank

-- name: rival
-- The same step or content twice in one pass.
create or replace temp table rival as
select contest.id, min_by(concat(taken.campaign, '/', taken.step), taken.rank) as winner
from contest
inner join taken on contest.cid = taken.cid
inner join course on contest.course_id = course.course_id
inner join step on contest.step_id = step.step_id
left join content on contest.content_id = content.content_id
anti join refused on contest.id = refused.id
where
    contest.coming_on is null
    and (
        (taken.campaign = course.campaign and taken.step = step.step)
        or (taken.template = coalesce(content.template, step.template) and not course.may_repeat)
    )
group by contest.id

-- name: close
insert into closed
select cid, class_id, reason, position, step_id, coming_on
from refused
where class_id >= 0

-- name: beaten
insert into lost
select id, winner from rival

-- name: place
-- The contests that go, and when.
create or replace temp table place as
select contest.*, coalesce(later.second, contest.opens) as second
from contest
anti join refused on contest.id = refused.id
anti join rival on contest.id = rival.id
left join later on contest.id = later.id

-- name: grant
insert into granted
select id, make_timestamp(second * 1000000) from place
where class_id >= 0

-- name: count_in
insert into message
select cid, gid, tag_bits, second, rank, step_id, coming_on
from place

-- name: take
insert into taken
select
    place.cid, place.rank, course.campaign, step.step, coalesce(content.template, step.template)
from place
inner join course on place.course_id = course.course_id
inner join step on place.step_id = step.step_id
left join content on place.content_id = content.content_id
where place.class_id >= 0

-- name: follow
-- After those that went, or were beaten, come the next of their kind.
create or replace temp table head as
with freed as (
    select contest.gid, contest.cid, contest.class_id, contest.rank
    from contest
    anti join refused on contest.id = refused.id
    where contest.class_id >= 0
),

follower as materialized (
    select ranked.*
    from ranked
    inner join freed
        on ranked.cid = freed.cid and ranked.class_id = freed.class_id and ranked.rank > freed.rank
    where ranked.planned_id is null
),

next as (
    select gid, min(rank) as rank
    from follower
    group by gid, cid, class_id
)

select head.*
from head
anti join contest on head.id = contest.id
union all
select follower.* exclude (planned_id)
from follower
semi join next on follower.gid = next.gid and follower.rank = next.rank

-- name: told
-- What the closed ones are told, in words.
create or replace temp table told as
select
    cast(row_number() over () as integer) as told_id,
    case_.*,
    if(
        case_.reason = 'capped', cap.label,
        concat(
            concat(course.campaign, '/' || step.step, ' on ' || case_.coming_on), ' (', cap.label, ')'
        )
    ) as decided_by
from (select distinct reason, position, step_id, coming_on from closed) as case_
inner join cap on case_.position = cap.position
left join step on case_.step_id = step.step_id
left join course on step.course_id = course.course_id

-- name: shut
create or replace temp table shut as
select closed.cid, closed.class_id, told.told_id
from closed
inner join told
    on
        closed.reason = told.reason
        and closed.position = told.position
        and closed.step_id is not distinct from told.step_id
        and closed.coming_on is not distinct from told.coming_on

-- name: outcome
-- What becomes of every candidate of today, and when.
create or replace temp table outcome as
select
    judged.course_id,
    judged.cid,
    judged.step_id,
    judged.occurrence,
    judged.content_id,
    judged.slot_id,
    judged.expected_value,
    judged.planned_id,
    cast(case
        when judged.reason is not null then judged.reason
        when spent.id is not null then 'no_reward_left'
        when lost.id is not null then 'outranked'
        when granted.id is null and judged.planned_id is null then told.reason
        else 'planned'
    end as reason) as reason,
    case
        when judged.reason is not null then judged.decided_by
        when spent.id is not null then spent.reward
        when lost.id is not null then lost.winner
    end as decided_by,
    if(
        judged.reason is null and spent.id is null and lost.id is null
        and granted.id is null and judged.planned_id is null,
        shut.told_id, null
    ) as told_id,
    if(judged.reason is null, granted.send_at, null) as send_at
from judged
inner join course on judged.course_id = course.course_id
left join granted on judged.rowid = granted.id
left join lost on judged.rowid = lost.id
left join spent on judged.rowid = spent.id
left join shut on judged.cid = shut.cid and course.class_id = shut.class_id
left join told on shut.told_id = told.told_id
where course.due_in = 0

-- name: term
-- What is said again and again, as numbers: faster to sort and to write than texts.
create type term as enum (select term from ({terms}) where term is not null group by term order by term)

-- name: worded
create or replace temp table {table}_in_words as
select * replace ({words}) from {table}

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
    coalesce(planned.variant, content.variant, '') as variant,
    person.customer_id,
    coalesce(planned.household_id, person.household_id) as household_id,
    outcome.occurrence,
    coalesce(planned.channel, course.channel) as channel,
    coalesce(planned.purpose, course.purpose) as purpose,
    coalesce(planned.tags, course.tags) as tags,
    coalesce(planned.template, content.template, step.template) as template,
    coalesce(planned.language, person.language) as language,
    coalesce(planned.timezone, slot.zone) as timezone,
    course.priority,
    outcome.expected_value,
    outcome.reason,
    coalesce(outcome.decided_by, told.decided_by) as decided_by,
    coalesce(outcome.send_at, case
        when outcome.reason = 'planned' then cast(left(planned.send_at, 19) as timestamp)
    end) as send_at,
    case
        when outcome.reason <> 'planned' then null
        when planned.send_key is not null then planned.send_key
        else left(sha256(concat_ws(
            chr(31), person.customer_id, course.campaign, step.step, outcome.occurrence
        )), 32)
    end as send_key,
    outcome.planned_id is null as is_new,
    course.drops,
    least(
        slot.send_until,
        course.ends_at,
        slot.send_from + to_hours(course.valid_hours)
    ) as not_after,
    outcome.course_id,
    outcome.cid,
    step.position
from outcome
inner join person_in_words as person on outcome.cid = person.cid
inner join course_in_words as course on outcome.course_id = course.course_id
left join told on outcome.told_id = told.told_id
left join step_in_words as step on outcome.step_id = step.step_id
left join content_in_words as content on outcome.content_id = content.content_id
left join slot_in_words as slot on outcome.slot_id = slot.slot_id
left join planned_in_words as planned on outcome.planned_id = planned.planned_id

-- name: kept
select * exclude (is_new, drops, not_after, course_id, cid, position)
from decision
where course_id in ({courses})
order by cid, position, occurrence

-- name: outbox
-- A row for every message planned, and for every one that is given up because a cap was full.
select
    coalesce(send_key, left(sha256(concat_ws(
        chr(31), customer_id, campaign, step, occurrence
    )), 32)) as send_key,
    customer_id,
    household_id,
    cast(campaign as varchar) as campaign,
    cast(campaign_version as varchar) as campaign_version,
    cast(step as varchar) as step,
    occurrence,
    cast(channel as varchar) as channel,
    cast(purpose as varchar) as purpose,
    cast(tags as varchar) as tags,
    cast(template as varchar) as template,
    cast(variant as varchar) as variant,
    cast(language as varchar) as language,
    cast(timezone as varchar) as timezone,
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
    course.campaign,
    outcome.reason,
    count(*) as candidates,
    strftime(min(outcome.send_at), '%Y-%m-%dT%H:%M:%S+00:00') as first_send_at,
    strftime(max(outcome.send_at), '%Y-%m-%dT%H:%M:%S+00:00') as last_send_at
from (
    select
        outcome.course_id,
        outcome.reason,
        coalesce(outcome.send_at, cast(left(planned.send_at, 19) as timestamp)) as send_at
    from outcome
    left join planned on outcome.planned_id = planned.planned_id
) as outcome
inner join course on outcome.course_id = course.course_id
group by course.campaign, outcome.reason

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
