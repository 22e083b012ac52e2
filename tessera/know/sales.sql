-- What was sold to whom, in numbers instead of names: everything that is learned in the night begins
-- with these tables. Only sales before $as_of count; days are the shop's ($zone).

-- name: counted
create temp view counted as
select
    customer_id,
    product_id,
    time_bucket(interval '15 minutes', sold_at) as quarter,
    timezone,
    currency,
    amount,
    coalesce(discount, 0) as discount
from transactions
where customer_id is not null and kind = 'sale' and amount >= 0
    and sold_at < getvariable('as_of')

-- name: rate
-- What a currency's minor unit is in those of the shop's, if lines are worth the same in both: what is
-- learned of money is who buys much or little, not who pays in yen.
create temp table rate as
select
    currency,
    first_value(mean) over (
        order by currency = getvariable('currency') desc nulls last, lines desc, currency
    ) / mean as factor
from (
    select currency, count(*) as lines, greatest(avg(amount), 1) as mean
    from counted
    group by currency
)

-- name: person
create temp table person as
select customer_id, (row_number() over (order by customer_id) - 1)::integer as customer
from (select distinct customer_id from counted)

-- name: article
create temp table article as
select product_id, (row_number() over (order by product_id) - 1)::integer as item
from (select distinct product_id from counted where product_id is not null)

-- name: moment
-- Days and hours begin on a quarter of an hour in every zone, so each quarter is asked only once.
create temp table moment as
select
    quarter,
    timezone,
    cast(timezone(getvariable('zone'), timezone('UTC', quarter)) as date) as day,
    hour(timezone(coalesce(timezone, getvariable('zone')), timezone('UTC', quarter)))::tinyint as hour
from (select distinct quarter, timezone from counted)

-- name: sold
-- One row per customer, product and day; money in the shop's currency.
create temp table sold as
select
    person.customer,
    article.item,
    moment.day,
    min(moment.hour) as hour,
    sum(counted.amount * rate.factor)::bigint as amount,
    sum(counted.discount * rate.factor)::bigint as discount
from counted
inner join rate on counted.currency is not distinct from rate.currency
inner join person using (customer_id)
left join article using (product_id)
inner join moment
    on counted.quarter = moment.quarter and counted.timezone is not distinct from moment.timezone
group by all

-- name: visit
-- One row per customer and day; the last day is of age 0.
create temp table visit as
select
    customer,
    day,
    min(hour) as hour,
    sum(amount)::bigint as amount,
    (row_number() over (partition by customer order by day desc) - 1)::integer as age
from sold
group by customer, day

-- name: days
create temp view days as
select person.customer_id, visit.day, visit.amount
from visit
inner join person using (customer)

-- name: owned
create temp table owned as
select customer, item, max(day) as last_on, count(*)::integer as days
from sold
where item is not null
group by customer, item

-- name: shelf
-- What is known of each product that was ever sold. Ranks are in ten-thousandths: a price's among those
-- of its category, a margin's share of the price among all. Nobody tells us the stock: what has not
-- been sold for four weeks, and for three times as long as it usually takes, is taken for gone.
create temp table shelf as
with priced as (
    select
        product_id,
        unit_margin,
        case when price > 0 then floor(
            10000 * (rank() over (partition by category, currency order by price) - 0.5)
            / count(*) over (partition by category, currency)
        )::integer end as price_rank,
        case when price > 0 and unit_margin is not null then floor(
            10000 * (rank() over (order by unit_margin / nullif(price, 0)) - 0.5) / count(*) over ()
        )::integer end as margin_rank
    from products
), told as (
    select
        item,
        max(day) as last_on,
        greatest(28, 3 * datediff('day', min(day), max(day)) / count(distinct day)) as patience
    from sold
    where item is not null
    group by item
)
select
    article.item,
    article.product_id,
    priced.price_rank,
    coalesce(0.8 + 0.4 * priced.margin_rank / 10000, 1) as worth,
    coalesce(priced.unit_margin > 0, true) as is_profitable,
    datediff('day', told.last_on, getvariable('today')) <= told.patience as is_in_stock
from article
inner join told using (item)
left join priced using (product_id)

-- name: habit
-- The favourites of each customer; of several the first by name, day or hour.
create temp table habit as
with weekdays as (
    select customer, arg_max(weekday, number * 10 - weekday) as weekday
    from (
        select customer, isodow(day) as weekday, count(*) as number from visit group by all
    )
    group by customer
), hours as (
    select customer, arg_max(hour, number * 100 - hour) as hour
    from (select customer, hour, count(*) as number from visit group by all)
    group by customer
), products as (
    select customer, arg_max(item, days::bigint * 100000000 - item) as item
    from owned
    group by customer
), levels as (
    select owned.customer, sum(price_rank * days)::double / sum(days) / 10000 as price_level
    from owned
    inner join shelf using (item)
    where price_rank is not null
    group by owned.customer
)
select
    person.customer,
    person.customer_id,
    article.product_id as favourite_product_id,
    weekdays.weekday::bigint as favourite_weekday,
    hours.hour::bigint as favourite_hour,
    levels.price_level::decimal(9, 4) as price_level
from person
left join weekdays using (customer)
left join hours using (customer)
left join products using (customer)
left join article using (item)
left join levels using (customer)

-- name: habits
select * exclude (customer) from habit order by customer_id

-- name: baskets
select sold.customer, sold.item, visit.age
from sold
inner join visit using (customer, day)
where sold.item is not null
order by sold.customer
