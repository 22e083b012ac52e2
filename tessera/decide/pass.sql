-- One pass over every candidate of every campaign, in DuckDB. Tables it is given: `campaign_step`,
-- `slot`, `cap` (from the files), `heard_consent`, `suppression`, `history`, `today` (from the
-- store); the published marts are views of their own names.

-- name: bucket
-- 0 to 9,999 for a person in a named draw, from the first eight hex digits of MD5. The draw's name
-- makes each campaign's control group its own; a share only moves the bar.
create or replace macro bucket(draw, customer_id) as (
    cast('0x' || left(md5(concat(draw, chr(31), customer_id)), 8) as uinteger) % 10000
)

-- name: member
create or replace temp table member (
    campaign varchar, customer_id varchar, occurrence varchar, entered_on date, expected_value bigint
)

-- name: person
-- An address in plain letters is hashed here; one that needs thought, by the function all share.
create or replace temp table person as
select
    customer_id,
    household_id,
    coalesce(nullif(trim(language), ''), getvariable('language')) as language,
    timezone,
    coalesce(has_complaint_open, false) as has_complaint_open,
    case
        when regexp_full_match(email, '[A-Za-z0-9._%+-]{1,64}@([a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?\.){1,4}[a-z]{2,20}')
            then sha256(lower(email))
        else hash_of_address(email)
    end as address_hash
from customers
where customer_id in (select customer_id from member)

-- name: word
-- The latest word of each person, from the marts and from the store. A yes counts from the instant
-- we act as of, a no from when it is known; of two words at one instant the no.
create or replace temp table word as
select customer_id, purpose, not max({'at': recorded_at, 'no': not granted})['no'] as granted
from (
    select customer_id, purpose, granted, recorded_at from consents
    where channel = 'email'
    union all
    select customer_id, purpose, granted = 1, cast(left(recorded_at, 19) as timestamp)
    from heard_consent
)
where not granted or recorded_at <= getvariable('as_of')
group by customer_id, purpose

-- name: past
-- What went out, or is about to: a message that was cancelled or rejected reached nobody.
create or replace temp table past as
select
    * replace (
        cast(business_date as date) as business_date,
        cast(left(send_at, 19) as timestamp) as send_at
    ),
    state not in ('cancelled', 'rejected') as is_live
from history

-- name: judged
-- Every member of an audience at every step of its campaign meets the rules, in their order. A
-- verdict is the reason and what decided it; null is still open.
create or replace temp table judged as
with latest_step as (
    select
        customer_id, campaign, occurrence, step,
        max(business_date) as planned_on,
        max(business_date) filter (is_live and business_date < getvariable('today')) as sent_on
    from past
    group by customer_id, campaign, occurrence, step
),

other_occurrence as (
    select
        member.customer_id, member.campaign, member.occurrence,
        arg_min(past.business_date, abs(past.business_date - getvariable('today'))) as planned_on
    from member
    inner join past
        on
            member.customer_id = past.customer_id
            and member.campaign = past.campaign
            and member.occurrence <> past.occurrence
    where past.is_live
    group by member.customer_id, member.campaign, member.occurrence
),

seen as (
    select customer_id, template, max(business_date) as planned_on
    from past
    where is_live
    group by customer_id, template
),

stop as (
    select suppression.address_hash, purposes.purpose, min(suppression.cause) as cause
    from suppression
    inner join (select distinct purpose from campaign_step) as purposes
        on suppression.scope = 'all' or suppression.scope = purposes.purpose
    group by suppression.address_hash, purposes.purpose
)

select
    member.campaign,
    member.customer_id,
    member.occurrence,
    campaign_step.step_id,
    coalesce(member.expected_value, 0) as expected_value,
    person.household_id,
    coalesce(person.language, getvariable('language')) as language,
    slot.zone,
    slot.send_from,
    slot.send_until,
    planned.send_key as planned_key,
    case
        when planned.send_key is not null
            then null
        when person.address_hash is null
            then {'reason': 'no_address', 'by': 'email'}
        when campaign_step.purpose = 'marketing' and not coalesce(word.granted, false)
            then {
                'reason': 'no_consent',
                'by': concat(
                    'email ', campaign_step.purpose,
                    if(word.granted is null, ' never given', ' withdrawn')
                )
            }
        when stop.cause is not null
            then {'reason': 'suppressed', 'by': stop.cause}
        when campaign_step.purpose = 'marketing' and person.has_complaint_open
            then {'reason': 'complaint_open', 'by': 'complaint'}
        when
            campaign_step.purpose = 'marketing'
            and bucket('*', member.customer_id) < getvariable('global_control')
            then {'reason': 'control_group', 'by': 'global'}
        when bucket(member.campaign, member.customer_id) < campaign_step.control_group
            then {'reason': 'control_group', 'by': member.campaign}
        when latest_step.planned_on is not null
            then {'reason': 're_entry', 'by': concat('planned on ', latest_step.planned_on)}
        when
            campaign_step.previous_step is null
            and abs(other_occurrence.planned_on - getvariable('today'))
            < campaign_step.re_entry_after_days
            then {
                'reason': 're_entry',
                'by': concat(
                    'planned on ', other_occurrence.planned_on, ', again after ',
                    campaign_step.re_entry_after_days, ' days'
                )
            }
        when campaign_step.previous_step is not null and previous.sent_on is null
            then {'reason': 'not_due', 'by': concat('follows step ', campaign_step.previous_step)}
        when
            coalesce(previous.sent_on, member.entered_on) + campaign_step.after_days
            > getvariable('today')
            then {
                'reason': 'not_due',
                'by': concat(
                    'due on ',
                    coalesce(previous.sent_on, member.entered_on) + campaign_step.after_days
                )
            }
        when not campaign_step.may_repeat and seen.planned_on is not null
            then {
                'reason': 'repeat_content',
                'by': concat(campaign_step.template, ' on ', seen.planned_on)
            }
        when getvariable('stale') is not null
            then {'reason': 'stale_data', 'by': cast(getvariable('stale') as varchar)}
        when campaign_step.ends_at <= coalesce(slot.send_from, getvariable('as_of'))
            then {'reason': 'too_late', 'by': concat('not after ', campaign_step.ends_at)}
        when slot.send_from is null
            then {'reason': 'outside_window', 'by': concat(campaign_step.hours, ' ', slot.zone)}
    end as verdict
from member
inner join campaign_step using (campaign)
left join person on member.customer_id = person.customer_id
left join slot
    on member.campaign = slot.campaign and person.timezone is not distinct from slot.timezone
left join today as planned
    on
        member.customer_id = planned.customer_id
        and member.campaign = planned.campaign
        and member.occurrence = planned.occurrence
        and campaign_step.step = planned.step
left join word
    on member.customer_id = word.customer_id and campaign_step.purpose = word.purpose
left join stop
    on person.address_hash = stop.address_hash and campaign_step.purpose = stop.purpose
left join latest_step
    on
        member.customer_id = latest_step.customer_id
        and member.campaign = latest_step.campaign
        and member.occurrence = latest_step.occurrence
        and campaign_step.step = latest_step.step
left join latest_step as previous
    on
        member.customer_id = previous.customer_id
        and member.campaign = previous.campaign
        and member.occurrence = previous.occurrence
        and campaign_step.previous_step = previous.step
left join other_occurrence
    on
        member.customer_id = other_occurrence.customer_id
        and member.campaign = other_occurrence.campaign
        and member.occurrence = other_occurrence.occurrence
left join seen
    on member.customer_id = seen.customer_id and campaign_step.template = seen.template

-- name: still_planned
-- What was planned earlier today stays, even if the audience or the campaign has moved on since.
insert into judged by name
select
    today.campaign,
    today.customer_id,
    today.occurrence,
    campaign_step.step_id,
    0 as expected_value,
    today.send_key as planned_key
from today
left join campaign_step using (campaign, step)
where
    today.campaign in (select campaign from campaign_step)
    and today.send_key not in (select planned_key from judged where planned_key is not null)

-- name: contender
-- Who passed every rule, in the order slots go: priority, expected value, and a hash that nobody
-- can guess but everybody can repeat. What was planned earlier today keeps its place.
create or replace temp table contender as
select
    *,
    row_number() over (
        partition by customer_id order by priority desc, expected_value desc, send_key
    ) as rank
from (
    select
        judged.rowid as id,
        judged.customer_id,
        judged.campaign,
        judged.expected_value,
        coalesce(campaign_step.priority, 0) as priority,
        coalesce(today.step, campaign_step.step) as step,
        coalesce(today.template, campaign_step.template) as template,
        coalesce(today.purpose, campaign_step.purpose) as purpose,
        campaign_step.may_repeat,
        today.send_key is not null as is_planned,
        coalesce(cast(left(today.send_at, 19) as timestamp), judged.send_from) as send_at,
        coalesce(
            today.send_key,
            left(sha256(concat_ws(
                chr(31), judged.customer_id, judged.campaign, campaign_step.step, judged.occurrence
            )), 32)
        ) as send_key
    from judged
    left join campaign_step using (step_id)
    left join today on judged.planned_key = today.send_key
    where judged.verdict is null
)

-- name: message
-- What counts under the caps: history (rank 0), the day's messages that this pass does not judge,
-- and those of today with their rank.
create or replace temp table message as
select customer_id, campaign, step, template, purpose, send_at, 0 as rank
from past
where is_live and send_at >= getvariable('since')
union all
select customer_id, campaign, step, template, purpose, cast(left(send_at, 19) as timestamp), 0
from today
where
    state not in ('cancelled', 'rejected')
    and campaign not in (select campaign from campaign_step)
union all
select customer_id, campaign, step, template, purpose, send_at, rank
from contender
where is_planned

-- name: lost
create or replace temp table lost (id bigint, verdict struct(reason varchar, "by" varchar))

-- name: round
-- Everybody's best candidate but `rank` - 1 meets what is there already: the same step or content
-- in this pass, then each cap. A cap counts the messages less than its span away on either side,
-- so that no span of that length ever holds more.
insert into lost
with contest as (
    select * from contender
    where rank = getvariable('rank') and not is_planned
),

rival as (
    select contest.id, min_by(concat(message.campaign, '/', message.step), message.rank) as winner
    from contest
    inner join message using (customer_id)
    where
        message.rank > 0
        and (
            (message.campaign = contest.campaign and message.step = contest.step)
            or (message.template = contest.template and not contest.may_repeat)
        )
    group by contest.id
),

counted as (
    select
        contest.id,
        cap.position,
        cap.label,
        cap.most,
        count(message.rank) filter (message.rank = 0) as before_today,
        count(message.rank) filter (message.rank < contest.rank) as ahead,
        count(message.rank) as found,
        max_by(concat(message.campaign, '/', message.step), message.rank)
            filter (message.rank > 0 and message.rank < contest.rank) as last_ahead,
        min_by(concat(message.campaign, '/', message.step), message.rank)
            filter (message.rank > contest.rank) as first_behind
    from contest
    inner join cap using (purpose)
    left join message
        on
            contest.customer_id = message.customer_id
            and contest.purpose = message.purpose
            and message.send_at > contest.send_at - to_days(cap.days)
            and message.send_at < contest.send_at + to_days(cap.days)
    group by contest.id, contest.rank, cap.position, cap.label, cap.most
),

broken as (
    select
        id,
        min_by(label, position) filter (before_today >= most) as full_cap,
        min_by(concat(last_ahead, ' (', label, ')'), position) filter (ahead >= most) as outranked_by,
        min_by(concat(first_behind, ' (', label, ')'), position) filter (found >= most) as kept_by
    from counted
    where found >= most
    group by id
)

select
    id,
    case
        when broken.full_cap is not null then {'reason': 'capped', 'by': broken.full_cap}
        when rival.winner is not null then {'reason': 'outranked', 'by': rival.winner}
        else {'reason': 'outranked', 'by': coalesce(broken.outranked_by, broken.kept_by)}
    end
from broken full join rival using (id)

-- name: granted
insert into message
select customer_id, campaign, step, template, purpose, send_at, rank
from contender
where rank = getvariable('rank') and not is_planned and id not in (select id from lost)

-- name: outcome
create or replace temp table outcome as
select
    judged.rowid as id,
    judged.campaign,
    judged.planned_key is null as is_new,
    coalesce(judged.verdict, lost.verdict, {'reason': 'planned', 'by': null}) as verdict,
    if(lost.id is null, contender.send_at, null) as send_at,
    if(lost.id is null, contender.send_key, null) as send_key
from judged
left join contender on judged.rowid = contender.id
left join lost on judged.rowid = lost.id

-- name: decision
-- What is kept: one row per candidate, no personal data. A message planned earlier today keeps
-- what it was planned with.
create or replace temp view decision as
select
    getvariable('today') as business_date,
    getvariable('as_of') as decided_at,
    judged.campaign,
    coalesce(today.campaign_version, campaign_step.campaign_version) as campaign_version,
    coalesce(today.step, campaign_step.step) as step,
    judged.customer_id,
    coalesce(today.household_id, judged.household_id) as household_id,
    judged.occurrence,
    'email' as channel,
    coalesce(today.purpose, campaign_step.purpose) as purpose,
    coalesce(today.template, campaign_step.template) as template,
    coalesce(today.language, judged.language) as language,
    coalesce(today.timezone, judged.zone) as timezone,
    coalesce(campaign_step.priority, 0) as priority,
    judged.expected_value,
    outcome.verdict['reason'] as reason,
    outcome.verdict['by'] as decided_by,
    outcome.send_at,
    outcome.send_key,
    outcome.is_new,
    least(
        judged.send_until,
        campaign_step.ends_at,
        judged.send_from + to_hours(campaign_step.valid_hours)
    ) as not_after
from judged
inner join outcome on judged.rowid = outcome.id
left join campaign_step using (step_id)
left join today on judged.planned_key = today.send_key

-- name: kept
select * exclude (is_new, not_after)
from decision
where campaign = getvariable('campaign')
order by customer_id, step, occurrence

-- name: outbox
select
    send_key,
    customer_id,
    household_id,
    campaign,
    campaign_version,
    step,
    occurrence,
    channel,
    purpose,
    template,
    language,
    timezone,
    cast(business_date as varchar) as business_date,
    getvariable('stamp') as decided_at,
    strftime(send_at, '%Y-%m-%dT%H:%M:%S+00:00') as send_at,
    strftime(not_after, '%Y-%m-%dT%H:%M:%S+00:00') as not_after,
    'ready' as state,
    getvariable('stamp') as state_at
from decision
where reason = 'planned' and is_new
order by send_at, customer_id, campaign, step

-- name: summary
select
    campaign,
    verdict['reason'] as reason,
    count(*) as candidates,
    strftime(min(send_at), '%Y-%m-%dT%H:%M:%S+00:00') as first_send_at,
    strftime(max(send_at), '%Y-%m-%dT%H:%M:%S+00:00') as last_send_at
from outcome
group by all
