-- What campaigns were worth, asked of the decisions, the published marts and the store by DuckDB.

-- name: decided
-- The first day on which each person was a candidate for a step, and the first on which nothing but
-- the lot of the control group could have stood in the way. Both arms are known by the same day, so
-- whatever befalls the treated later (caps, exits, unsubscribing) takes nobody out of the comparison.
with decision as (
    select
        *,
        reason not in ('no_address', 'no_consent', 'suppressed', 'complaint_open') as is_eligible,
        case
            when reason <> 'control_group' then 'treated'
            when decided_by = 'global' then 'global'
            else 'control'
        end as its_arm
    from read_parquet($files, union_by_name = true, hive_partitioning = false)
)

select
    campaign,
    step,
    customer_id,
    any_value(purpose) as purpose,
    min(business_date) as candidate_on,
    min(business_date) filter (is_eligible) as eligible_on,
    arg_min(its_arm, (business_date, occurrence)) filter (is_eligible) as arm,
    arg_min(variant, (business_date, occurrence)) filter (is_eligible) as variant,
    bool_or(reason = 'planned') as is_written
from decision
group by campaign, step, customer_id

-- name: merged
select
    campaign,
    step,
    customer_id,
    any_value(purpose) as purpose,
    min(candidate_on) as candidate_on,
    min(eligible_on) as eligible_on,
    arg_min(arm, (eligible_on, old_number)) filter (eligible_on is not null) as arm,
    arg_min(variant, (eligible_on, old_number)) filter (eligible_on is not null) as variant,
    bool_or(is_written) as is_written
from ({parts})
group by campaign, step, customer_id

-- name: followed
-- Whoever is known by another number by now: the marts have their receipts under it. Of two who
-- entered on one day the lot of the number that stays goes first, for it is drawn by from then on.
select
    {table}.* replace (coalesce(known_as.into_customer_id, {table}.customer_id) as customer_id),
    if(known_as.into_customer_id is null, '', {table}.customer_id) as old_number
from {table}
left join known_as on {table}.customer_id = known_as.customer_id

-- name: entrant
-- A person enters a campaign once. The whole programme is the campaign '*': everybody whom any
-- marketing could have reached, against the global control group.
create or replace temp table entrant as
select
    campaign,
    customer_id,
    min(candidate_on) as candidate_on,
    min(eligible_on) as eligible_on,
    arg_min(arm, (eligible_on, step)) filter (eligible_on is not null) as arm,
    bool_or(is_written) as is_written
from entry
group by campaign, customer_id
union all
select
    '*',
    customer_id,
    min(candidate_on),
    min(eligible_on),
    arg_min(
        case arm when 'global' then 'control' when 'control' then 'treated' else arm end,
        (eligible_on, campaign, step)
    ) filter (eligible_on is not null),
    bool_or(is_written)
from entry
where purpose = 'marketing'
group by customer_id

-- name: recipients
-- People who were sent something, by campaign and by marketing as a whole ('*').
create or replace temp table recipient as
select distinct campaign, purpose, customer_id from sent;

with them as (
    {followed}
)

select campaign, count(distinct customer_id) from them group by campaign
union all
select '*', count(distinct customer_id) from them where purpose = 'marketing'

-- name: currency
-- As in the models: of most receipts of the last 92 days, for a shop may change its currency.
select currency
from transactions
where sold_at >= $since and sold_at < $as_of
group by currency
order by count(distinct transaction_id) desc, currency
limit 1

-- name: first_compared
-- No receipt before this day is compared with any.
select min(candidate_on) - cast($before as integer) from entrant

-- name: sold
-- What was paid per person and day in one currency, returns taken off; who paid in another has bought
-- too. Goods cost their shelf price less the unit margin; where a product does not say, the shop's
-- average stands in.
create or replace temp table sold as
with line as (
    select
        transactions.customer_id,
        cast(timezone($zone, timezone('UTC', transactions.sold_at)) as date) as day,
        transactions.kind = 'sale' as is_sale,
        if(transactions.currency = $currency, transactions.amount, 0) as amount,
        if(
            transactions.currency = $currency
            and coalesce(products.currency, $currency) = $currency,
            transactions.amount - transactions.quantity * (products.price - products.unit_margin),
            null
        ) as margin
    from transactions
    left join products on transactions.product_id = products.product_id
    where
        transactions.customer_id in (select customer_id from {people})
        and transactions.sold_at >= $since
        and transactions.sold_at < $as_of
),

rate as (
    select sum(margin) / nullif(sum(amount), 0) as rate from line where margin is not null
)

select
    customer_id,
    day,
    bool_or(is_sale) as has_bought,
    cast(sum(amount) as double) as revenue,
    cast(sum(coalesce(margin, amount * rate)) as double) as margin,
    cast(0 as double) as cost
from line
cross join rate
group by customer_id, day

-- name: rewarded
-- Points at what they pay for when they are given; vouchers at what the tills took off in this currency,
-- unless the receipt's own lines name the code: then the amounts have it already.
insert into sold
select who.customer_id, who.given_on, false, 0, 0, who.points * $point_worth
from ({points}) as who
where who.customer_id in (select customer_id from {people}) and who.given_on < $today

-- name: vouchers
insert into sold
select
    used.customer_id,
    cast(timezone($zone, timezone('UTC', cast(left(used.at, 19) as timestamp))) as date) as day,
    false,
    0,
    0,
    used.discount
from ({uses}) as used
where
    used.customer_id in (select customer_id from {people})
    and coalesce(json_extract_string(used.basket, '$[0]'), $currency) = $currency
    and not exists (
        select 1 from transactions
        where
            transactions.transaction_id = used.receipt_id
            and replace(upper(transactions.coupon_code), '-', '') = replace(upper(used.code), '-', '')
    )

-- name: people
-- A row per person: what was bought from the day of entry on for so many days, and in the days before.
with who as (
    select customer_id, arm, eligible_on, is_written and arm = 'treated' as is_recipient
    from entrant
    where campaign = $campaign and arm in ('treated', 'control') and eligible_on <= $last
)

select
    who.customer_id,
    who.arm,
    who.is_recipient,
    {outcomes}
group by who.customer_id, who.arm, who.is_recipient
order by who.customer_id

-- name: variants
-- The first content that each person's lot fell on, by step, on days when more than one was drawn:
-- once a winner is chosen everybody gets it, and its days are no fair match for the others'.
-- Only the first step has control rows, for nobody in the group goes further.
with drawn as (
    select
        *,
        count(distinct variant) filter (arm = 'treated')
            over (partition by step, eligible_on) as contents
    from entry
    where campaign = $campaign and variant <> '' and arm in ('treated', 'control')
),

who as (
    select customer_id, step, eligible_on, if(arm = 'control', 'control', variant) as arm
    from drawn
    where contents > 1 and eligible_on <= $last
)

select
    who.customer_id,
    who.step,
    who.arm,
    {outcomes}
group by who.customer_id, who.step, who.arm
order by who.step, who.customer_id

-- name: outcomes
-- What the people of `who` bought. Fractions of minor units add up to another last digit in another
-- order: four decimals are the same.
coalesce(max(sold.has_bought::integer) filter (sold.day >= who.eligible_on), 0)::double as converted,
coalesce(sum(sold.revenue) filter (sold.day >= who.eligible_on), 0) as revenue,
round(coalesce(sum(sold.margin) filter (sold.day >= who.eligible_on), 0), 4) as margin,
round(coalesce(sum(coalesce(sold.margin, sold.revenue) - sold.cost) filter (sold.day >= who.eligible_on), 0), 4)
    as net,
coalesce(sum(sold.revenue) filter (not sold.day >= who.eligible_on), 0) as before
from who
left join sold
    on
        who.customer_id = sold.customer_id
        and sold.day >= who.eligible_on - cast($before as integer)
        and sold.day < who.eligible_on + cast($days as integer)
