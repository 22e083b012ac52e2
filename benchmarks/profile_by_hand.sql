-- The columns of the `customers` mart that come from the feeds, as one would write them by hand for
-- DuckDB from the same Parquet: read everything, group, join, write one Parquet file. What it leaves
-- out: corrected lines and rows (of two rows with one key both count), replaced cards without a row,
-- money in a second currency, prospects, what the words of opinions say, tests, contracts, the other
-- marts, and any state for the next day. Points, messages and what is learned are not in the feeds.
-- Variables: validated (folder), as_of (timestamp), business_date (date), zone, target (file).
set variable lines = getvariable('validated') || '/transactions/*/rows.parquet';

create temp table owner as
select card_id, customer_id, issued_at, blocked_at, replaced_by_card_id
from read_parquet(getvariable('validated') || '/cards/*/rows.parquet');

create temp table receipt as
select
    transaction_id, card_id, store_id, kind,
    count(*) as lines,
    sum(quantity) as units,
    sum(amount) as amount,
    sum(discount) as discount,
    any_value(currency) as currency,
    min(sold_at) as sold_at
from read_parquet(getvariable('lines'))
where card_id is not null and sold_at < getvariable('as_of')
group by all;

create temp table bought as
select
    coalesce(owner.customer_id, receipt.card_id) as customer_id,
    store_id, kind, lines, units, amount, discount, currency, sold_at,
    timezone(getvariable('zone'), timezone('UTC', sold_at))::date as sold_on
from receipt left join owner using (card_id);

create temp table figures as
select
    customer_id,
    any_value(currency) as currency,
    count(*) filter (where kind = 'sale') as receipts,
    count(*) filter (where kind = 'return') as returned_receipts,
    sum(lines) as lines,
    sum(units) as units,
    sum(amount) as revenue,
    sum(amount) filter (where kind = 'sale') as sales,
    sum(discount) filter (where kind = 'sale') as discount,
    min(sold_on) filter (where kind = 'sale') as first_purchase_on,
    max(sold_on) filter (where kind = 'sale') as last_purchase_on,
    min(sold_at) filter (where kind = 'sale') as first_purchase_at,
    max(sold_at) filter (where kind = 'sale') as last_purchase_at
from bought
group by customer_id;

create temp table rhythm as
with day as (
    select distinct customer_id, sold_on from bought where kind = 'sale'
), gap as (
    select
        customer_id,
        sold_on - lag(sold_on) over (partition by customer_id order by sold_on) as days
    from day
)
select customer_id, count(*) as visits, median(days) as median_days_between_purchases
from gap
group by customer_id;

create temp table favourite_store as
with visits as (
    select customer_id, store_id, count(*) as receipts
    from bought
    where kind = 'sale'
    group by all
)
select customer_id, arg_max(store_id, receipts) as favourite_store_id
from visits
group by customer_id;

create temp table favourite_category as
with spent as (
    select
        coalesce(owner.customer_id, line.card_id) as customer_id,
        product.category,
        sum(line.amount) as amount
    from read_parquet(getvariable('lines')) as line
    inner join read_parquet(getvariable('validated') || '/products/*/rows.parquet') as product
        using (product_id)
    left join owner using (card_id)
    where line.card_id is not null and line.sold_at < getvariable('as_of')
    group by all
)
select customer_id, arg_max(category, amount) as favourite_category
from spent
group by customer_id;

create temp table spoken as
select
    customer_id,
    bool_or(kind <> 'contact') as has_answered,
    count(*) filter (where kind = 'complaint') as complaints,
    bool_or(kind = 'complaint' and coalesce(status, 'open') not in ('closed', 'resolved'))
        as has_complaint_open,
    max(timezone(getvariable('zone'), timezone('UTC', occurred_at))::date)
        filter (where kind = 'complaint') as last_complaint_on,
    arg_max(score, occurred_at) filter (where kind = 'survey') as satisfaction_score,
    max(occurred_at) filter (where kind = 'survey' and score is not null) as satisfaction_at
from read_parquet(getvariable('validated') || '/interactions/*/rows.parquet')
where customer_id is not null and occurred_at < getvariable('as_of')
group by customer_id;

create temp table wish as
with word as (
    select customer_id, channel, arg_max(granted, recorded_at) as granted
    from read_parquet(getvariable('validated') || '/consents/*/rows.parquet')
    where purpose = 'marketing' and recorded_at < getvariable('as_of')
    group by customer_id, channel
)
select
    customer_id,
    bool_or(granted) filter (where channel = 'email') as has_email_consent,
    bool_or(granted) filter (where channel = 'sms') as has_sms_consent
from word
group by customer_id;

copy (
    with live_card as (
        select customer_id, arg_max(card_id, issued_at) as card_id
        from owner
        where blocked_at is null and replaced_by_card_id is null
        group by customer_id
    ), quintile as (
        select
            customer_id,
            ceil(5 * cume_dist() over (order by last_purchase_on)) as recency_quintile,
            ceil(5 * cume_dist() over (order by receipts)) as frequency_quintile,
            ceil(5 * cume_dist() over (order by revenue)) as monetary_quintile
        from figures
        where receipts > 0
    )
    select
        customer_id,
        person.household_id,
        live_card.card_id,
        person.given_name, person.family_name, person.email, person.phone, person.language,
        person.timezone, person.country, person.home_store_id, person.acquisition_source,
        figures.currency,
        favourite_category.favourite_category,
        favourite_store.favourite_store_id,
        case
            when figures.last_purchase_on is null then if(spoken.has_answered, 'engaged', 'potential')
            when
                getvariable('business_date') - figures.last_purchase_on
                >= if(
                    rhythm.median_days_between_purchases is null, 60,
                    least(60, greatest(45, floor(3 * rhythm.median_days_between_purchases) + 1))
                )
                then 'lapsed'
            else if(rhythm.visits >= 3, 'active', 'new')
        end as relationship_level,
        figures.receipts, figures.lines, figures.units, figures.revenue,
        round(figures.sales / figures.receipts)::bigint as average_basket,
        figures.returned_receipts,
        quintile.recency_quintile, quintile.frequency_quintile, quintile.monetary_quintile,
        getvariable('business_date') - figures.last_purchase_on as days_since_last_purchase,
        rhythm.median_days_between_purchases,
        figures.discount / nullif(figures.sales + figures.discount, 0) as discount_share,
        spoken.satisfaction_score,
        (getvariable('business_date') - figures.last_purchase_on)
        / nullif(rhythm.median_days_between_purchases, 0) as overdue_factor,
        coalesce(spoken.complaints, 0) as complaints,
        person.customer_id is not null as is_registered,
        coalesce(spoken.has_complaint_open, false) as has_complaint_open,
        coalesce(wish.has_email_consent, false) as has_email_consent,
        coalesce(wish.has_sms_consent, false) as has_sms_consent,
        person.birth_date,
        figures.first_purchase_on,
        figures.last_purchase_on,
        figures.last_purchase_on + round(rhythm.median_days_between_purchases)::integer
            as expected_next_purchase_on,
        spoken.last_complaint_on,
        person.joined_at,
        figures.first_purchase_at,
        figures.last_purchase_at,
        spoken.satisfaction_at
    from figures
    full join read_parquet(getvariable('validated') || '/customers/*/rows.parquet') as person
        using (customer_id)
    left join live_card using (customer_id)
    left join rhythm using (customer_id)
    left join favourite_store using (customer_id)
    left join favourite_category using (customer_id)
    left join quintile using (customer_id)
    left join spoken using (customer_id)
    left join wish using (customer_id)
) to $target (format parquet);
