-- What is learned about offers, beside the tables of sales.sql.

-- name: trial
-- The last trial of the name that is over, as everybody in it bought afterwards. Of several contacts of
-- a day, having been offered counts.
with last as (
    select max(offered_on) as day
    from trials
    where trial = $trial and offered_on + $within < $today
)
select
    person.customer,
    max(trials.is_offered::integer) as treated,
    max(exists (
        select 1 from visit
        where visit.customer = person.customer
            and visit.day > trials.offered_on and visit.day <= trials.offered_on + $within
    )::integer) as bought,
    datediff('day', min(trials.offered_on), $today) as ago
from trials
inner join person using (customer_id)
where trials.trial = $trial and trials.offered_on = (select day from last)
group by person.customer
order by person.customer

-- name: people
-- What was known of everybody who had bought before a day.
with before as (
    select
        customer,
        count(*) as visits,
        count(*) filter (day >= $day - 28) as lately,
        count(*) filter (day >= $day - 91) as of_late,
        datediff('day', max(day), $day) as silent,
        datediff('day', min(day), $day) as known,
        avg(amount) as basket
    from visit
    where day < $day
    group by customer
), levels as (
    select
        sold.customer,
        sum(shelf.price_rank)::double / count(*) / 10000 as level,
        sum(sold.discount)::double / nullif(sum(sold.amount + sold.discount), 0) as discounted
    from sold
    inner join shelf using (item)
    where sold.day < $day and shelf.price_rank is not null
    group by sold.customer
)
select
    person.customer_id,
    before.customer,
    visits,
    lately,
    of_late,
    silent,
    known,
    basket,
    coalesce(level, 0.5) as level,
    coalesce(discounted, 0) as discounted
from before
inner join person using (customer)
left join levels using (customer)
order by before.customer

-- name: offered
select person.customer, datediff('day', max(trials.offered_on), $today) as ago
from trials
inner join person using (customer_id)
where trials.is_offered and trials.offered_on < $today
group by person.customer
