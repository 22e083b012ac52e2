-- Who a campaign is for, in DuckDB. Each source gives customer_id, occurrence, entered_on and
-- expected_value.

-- name: add
insert into candidate by name
select
    ? as course_id,
    ? as step_id,
    person.cid,
    them.occurrence,
    min(them.entered_on) as counted_from,
    max(them.expected_value) as expected_value,
    true as is_in_audience
{source}
{people}
inner join person on them.customer_id = person.customer_id
where {narrowed}
group by person.cid, them.occurrence

-- name: event
from (
    select customer_id, occurrence, occurred_on as entered_on, expected_value
    from customer_events
    where event = ? and occurred_on between ? and ?
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
