-- Who a campaign is for, in DuckDB. Each source gives customer_id, occurrence, entered_on and
-- expected_value, an occurrence of a customer once.

-- name: add
-- One join with the people for all campaigns.
insert into candidate by name
select
    them.course_id,
    them.step_id,
    person.cid,
    them.occurrence,
    them.entered_on as counted_from,
    them.expected_value,
    true as is_in_audience
from ({members}) as them
inner join person on them.customer_id = person.customer_id

-- name: is_twice
-- Whether a campaign names anybody more than once, by a bit for each person.
select bool_or(rows > people)
from (
    select count(*) as rows, bit_count(bitstring_agg(cid, 1, {people})) as people
    from candidate
    group by course_id
)

-- name: once
-- Each occurrence of a customer is a candidate once.
create or replace temp table candidate as
select
    course_id,
    cid,
    occurrence,
    step_id,
    min(counted_from) as counted_from,
    max(expected_value) as expected_value,
    is_in_audience,
    started_at,
    through_on
from candidate
group by all

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
    where event = ? and occurred_on between ? and ?
    group by customer_id, occurrence
) as them

-- name: date
-- The yearly return of a date. 29 February is kept on the 28th or on 1 March of other years; on the
-- day itself of leap years.
from (
    select
        customer_id,
        cast(year as varchar) as occurrence,
        kept_on - cast(? as integer) as entered_on,
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
    where entered_on between ? and ?
) as them
