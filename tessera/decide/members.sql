-- Who a campaign is for, in DuckDB. Each source gives customer_id, occurrence, entered_on and
-- expected_value, an occurrence of a customer once.

-- name: member
-- One join with the people for all campaigns. Who is not among them has no number. An own audience may
-- say no occurrence: that is one of its own, for ever.
select
    cast(them.course_id as smallint) as course_id,
    cast(them.step_id as smallint) as step_id,
    person.cid,
    coalesce(cast(them.occurrence as varchar), '') as occurrence,
    cast(them.entered_on as date) as entered_on,
    cast(them.expected_value as bigint) as expected_value
from ({members}) as them
left join person on them.customer_id = person.customer_id

-- name: nobody
select
    0 as course_id,
    0 as step_id,
    '' as customer_id,
    '' as occurrence,
    null as entered_on,
    0 as expected_value
where false

-- name: once
-- Each occurrence of a customer is a candidate once.
select
    course_id,
    step_id,
    cid,
    occurrence,
    min(entered_on) as entered_on,
    max(expected_value) as expected_value
from member
group by all

-- name: concerned
-- Of whom more is known than that they are members, and in which campaigns: who was written to by it, or with
-- its content, and who has declined its topic.
with concern as (
    select each_kind.kind_id, course.course_id
    from each_kind
    inner join course on each_kind.campaign = course.campaign::label
    union
    select each_kind.kind_id, step.course_id
    from each_kind
    inner join content on each_kind.template = content.template::label
    inner join step on content.step_id = step.step_id
)

select concern.course_id, past.cid
from past
inner join concern on past.kind_id = concern.kind_id
union all
select course_id, cid from declined
union all
select course.course_id, planned.cid
from planned
inner join course on planned.campaign = course.campaign

-- name: known
create or replace temp table known as select * from concerned

-- name: of_campaign
select
    {course_id} as course_id,
    {step_id} as step_id,
    them.customer_id,
    them.occurrence,
    them.entered_on,
    them.expected_value
{source}
{people}
where {narrowed}

-- name: event
from (
    select
        customer_id, occurrence, min(occurred_on) as entered_on, max(expected_value) as expected_value
    from customer_events
    where event = {event} and occurred_on between {since} and {until}
    group by customer_id, occurrence
) as them

-- name: date
-- The yearly return of a date. 29 February is kept on the 28th or on 1 March of other years; on the
-- day itself of leap years.
from (
    select
        customer_id,
        cast(year as varchar) as occurrence,
        kept_on - {before} as entered_on,
        coalesce(average_basket, 0) as expected_value
    from (
        select
            customer_id,
            average_basket,
            year,
            case
                when month({column}) <> 2 or day({column}) <> 29 or (year % 4 = 0 and (year % 100 <> 0 or year % 400 = 0))
                    then make_date(year, month({column}), day({column}))
                else make_date(year, 2, 28) + ({leap_day} - 28)
            end as kept_on
        from customers
        cross join (select year(getvariable('today')) + ahead as year from (values (-1), (0), (1)) as t (ahead)) as years
        where year({column}) < year
    ) as returns
    where entered_on between {since} and {until}
) as them
