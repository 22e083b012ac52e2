-- The figures of the report page, asked of the published marts and of Parquet files by DuckDB.

-- name: week
-- The weeks shown, each with the instant it begins at in the shop's zone.
create temp table week (week_on date, begins_at timestamp)

-- name: receipt
-- One row per receipt of the weeks shown; what happens at or after `as_of` is not known yet.
create temp table receipt as
select
    transaction_id,
    currency,
    max(customer_id) as customer_id,
    min(sold_at) as sold_at,
    sum(amount) as amount
from transactions
where sold_at >= (select min(begins_at) from week) and sold_at < $as_of
group by transaction_id, currency

-- name: currency
-- The shop's currency is the one of most receipts of the last 92 days, as in the models; the others
-- are named, not mixed in.
select currency
from receipt
group by currency
order by count(*) filter (sold_at >= $as_of - interval 92 day) desc, count(*) desc, currency

-- name: weekly
with sold as (
    select week.week_on, receipt.amount
    from receipt
    asof inner join week on receipt.sold_at >= week.begins_at
    where receipt.currency = $currency
)
select
    week.week_on,
    coalesce(sum(sold.amount), 0)::bigint as revenue,
    count(sold.amount) as receipts
from week
left join sold using (week_on)
group by week.week_on
order by week.week_on

-- name: span
-- Sales of the days in [since, until).
select
    coalesce(sum(amount), 0)::bigint as revenue,
    count(*) as receipts,
    count(*) filter (where customer_id is not null) as with_card
from receipt
where currency = $currency and sold_at >= $since and sold_at < $until

-- name: crowded
-- Numbers with more receipts of [since, until) than a customer has, the most first.
select customer_id, count(*) as receipts
from receipt
where customer_id is not null and sold_at >= $since and sold_at < $until
group by customer_id
having count(*) > $most
order by receipts desc, customer_id
limit 3

-- name: customers
select
    count(*) as known,
    count(*) filter (where receipts > 0) as buyers,
    count(*) filter (where days_since_last_purchase < 90) as active
from customers

-- name: recency_by_frequency
-- How many customers have each pair of quintiles; 5 is the most recent and the most frequent.
select recency_quintile as recency, frequency_quintile as frequency, count(*) as customers
from customers
where recency_quintile is not null and frequency_quintile is not null
group by all
order by all

-- name: decisions
select campaign, reason, count(*) as candidates
from read_parquet($files, union_by_name = true, hive_partitioning = false)
group by campaign, reason
order by campaign, reason <> 'planned', candidates desc, reason

-- name: held
-- What waits until its campaign's template is mended.
select campaign, decided_by as why, count(*) as messages
from read_parquet($files, union_by_name = true, hive_partitioning = false)
where reason = 'broken_template'
group by campaign, decided_by
order by campaign, decided_by

-- name: quarantine
-- Open rows by rule; a row with two reasons counts for both. Values stay out: they are people's.
select bad.feed, reason.column as "column", reason.rule, count(*) as found
from
    read_parquet($files, union_by_name = true, hive_partitioning = false) as bad,
    unnest(bad.reasons) as unnested (reason)
where not exists (
    select 1 from readmitted
    where readmitted.file_id = bad.file_id and readmitted.row_number = bad.row_number
)
group by all
order by found desc, bad.feed, "column", reason.rule

-- name: modelled
select count(*) as lines from transactions
