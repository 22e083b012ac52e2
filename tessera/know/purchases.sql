-- name: typed
-- Parameters are replaced by column names; text that is no date or no number is kept to be shown.
create temp table typed as
select
    _row_of_the_file as row_number,
    nullif(trim($customer), '') as customer_id,
    $date as date_text,
    $parsed as purchased_at,
    $amount as amount_text,
    try_cast($amount as double) as amount
from given

-- name: unreadable
select
    row_number,
    case when is_dated then '$amount' else '$date' end as field,
    coalesce(case when is_dated then amount_text else date_text end, '') as value
from (
    select
        *,
        coalesce(purchased_at >= date '1900-01-01' and purchased_at < date '2200-01-01', false) as is_dated
    from typed
)
where customer_id is not null
    and not (is_dated and coalesce(abs(amount) <= $most, false))
order by row_number
limit 1

-- name: days
-- A day's purchases are one, its amounts together; what was brought back is no purchase.
create temp table days as
select
    customer_id,
    cast(purchased_at as date) as day,
    sum(amount) as amount
from typed
where customer_id is not null and amount >= 0
group by customer_id, day

-- name: span
select
    min(day),
    max(day)
from days

-- name: left_out
select
    count(*) filter (customer_id is null),
    count(*) filter (customer_id is not null and amount < 0)
from typed

-- name: customers
-- One row per customer who bought in the calibration; amounts are the mean of the repeat purchases.
with first as (
    select customer_id, min(day) as first_day from days group by customer_id
)

select
    customer_id,
    count(*) filter (day > first_day and day <= ?) as x,
    datediff('day', max(day) filter (day <= ?), cast(? as date)) as since_last,
    datediff('day', any_value(first_day), cast(? as date)) as since_first,
    count(*) filter (day > ? and day <= ?) as actual,
    coalesce(avg(amount) filter (day > first_day and day <= ?), 0) as mean_amount,
    coalesce(sum(amount) filter (day > ? and day <= ?), 0) as actual_amount
from days
inner join first using (customer_id)
where first_day <= ?
group by customer_id
order by customer_id

-- name: repeats_ago
with first as (
    select customer_id, min(day) as first_day from days group by customer_id
)

select datediff('day', day, cast($end as date)) as ago, count(*) as purchases
from days
inner join first using (customer_id)
where day > first_day and day <= $end
group by ago

-- name: squeezed_gaps
-- The part of the likelihood that depends on how regular gaps are, beside what a history says.
with gaps as (
    select datediff('day', lag(day) over (partition by customer_id order by day), day) as gap
    from days
    where day <= ?
)

select coalesce(sum(ln(gap)), 0), count(gap) from gaps where gap > 0

-- name: weeks
with first as (
    select customer_id, min(day) as first_day from days group by customer_id
)

select
    (datediff('day', cast($end as date), day) - 1) // 7 as week,
    count(*) as purchases,
    sum(amount) as amount
from days
inner join first using (customer_id)
where first_day <= $end and day > $end and day <= $until
group by week

-- name: people
select count(distinct customer_id) from days

-- name: thinned
with numbered as (
    select customer_id, row_number() over (order by customer_id) - 1 as number
    from (select distinct customer_id from days)
)

select days.*
from days
inner join numbered using (customer_id)
where number % $every = 0
order by customer_id, day

-- name: usual_amount
select avg(amount), stddev_pop(amount) / nullif(avg(amount), 0) from days where day <= ?
