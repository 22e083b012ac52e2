{{ config(tags=["daily", "report"]) }}

-- One row with what is kept of whom: repeat buyers, the weight of the best, and who was lost in the
-- last 91 days of those who were new or active before them.
with buyers as (
    select
        currency,
        revenue,
        coalesce(visits, 1) as visits
    from {{ ref("int_customer_figures") }}
    where receipts > 0
),

ranked as (
    -- Of the shop's currency. Of buyers with as much it makes no difference which are in.
    select
        buyers.revenue,
        ntile(5) over (order by buyers.revenue desc) as fifth
    from buyers
    inner join {{ ref("int_shop_currency") }} as own on buyers.currency = own.currency
),

best as (
    select
        sum(case when fifth = 1 then revenue else 0 end)
        / nullif(cast(sum(revenue) as double), 0) as top_fifth_share
    from ranked
),

bought as (
    select
        count(*) as buyers,
        sum(case when visits > 1 then 1 else 0 end) as repeat_buyers
    from buyers
),

kept as (
    select customer_id from {{ ref("int_relationship_moves") }}
    where
        level in ('new', 'active')
        and changed_on <= {{ days_after(business_date(), -91) }}
        and left_on > {{ days_after(business_date(), -91) }}
),

lapsed as (
    -- After the last of the moves, which is a lapse, comes none.
    select customer_id from {{ ref("int_relationship_moves") }}
    where left_on is null and changed_on <= {{ business_date() }}
),

lost as (
    select
        count(*) as kept_before,
        count(lapsed.customer_id) as lapsed_since
    from kept
    left join lapsed on kept.customer_id = lapsed.customer_id
)

select
    cast(bought.buyers as bigint) as buyers,
    cast(coalesce(bought.repeat_buyers, 0) as bigint) as repeat_buyers,
    cast(bought.repeat_buyers / nullif(cast(bought.buyers as double), 0) as decimal(9, 4))
        as repeat_rate,
    cast(best.top_fifth_share as decimal(9, 4)) as top_fifth_share,
    cast(lost.kept_before as bigint) as kept_before,
    cast(coalesce(lost.lapsed_since, 0) as bigint) as lapsed_since,
    cast(lost.lapsed_since / nullif(cast(lost.kept_before as double), 0) as decimal(9, 4))
        as churn
from bought
cross join best
cross join lost
