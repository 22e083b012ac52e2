-- What is learned of people, as the `customers` mart shows it. Each source is a table of its own name,
-- empty when nothing was learned.

-- name: no_habits
create temp table habits as
select
    null::varchar as customer_id,
    null::varchar as favourite_product_id,
    null::bigint as favourite_weekday,
    null::bigint as favourite_hour,
    null::decimal(9, 4) as price_level
where false

-- name: no_scores
create temp table scores as
select
    null::varchar as customer_id,
    null::double as alive,
    null::double as expected_purchases,
    null::bigint as expected_revenue
where false

-- name: no_offers
create temp table offers as
select null::varchar as customer_id, null::boolean as is_advised, null::varchar as reason
where false

-- name: customers
select
    customers.* replace (
        habits.favourite_product_id as favourite_product_id,
        habits.favourite_weekday as favourite_weekday,
        habits.favourite_hour as favourite_hour,
        habits.price_level as price_level,
        case
            when scores.alive >= 2 / 3 then 'low' when scores.alive >= 1 / 3 then 'medium'
            when scores.alive is not null then 'high'
        end as churn_risk,
        scores.alive::decimal(9, 4) as chance_alive,
        scores.expected_purchases::decimal(9, 2) as predicted_purchases,
        round(scores.expected_revenue / coalesce(rate.factor, 1))::bigint as predicted_revenue,
        offers.is_advised as is_offer_advised,
        offers.reason as offer_reason
    )
from customers
left join habits using (customer_id)
left join scores using (customer_id)
left join offers using (customer_id)
left join rate on customers.currency = rate.currency

-- name: kept
select made.* replace ({learned})
from read_parquet({path}) as made
left join customers as before using (customer_id)
