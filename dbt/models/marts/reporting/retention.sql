{{ config(tags=["daily", "report"]) }}

-- One row with what is kept of whom: repeat buyers, the weight of the best, and who was lost in the
-- last 91 days of those who were new or active before them.
with buyers as (
    select
        customers.customer_id,
        customers.revenue,
        coalesce(rhythms.visits, 1) as visits,
        ntile(5) over (order by customers.revenue desc, customers.customer_id asc) as fifth
    from {{ ref("customers") }} as customers
    left join {{ ref("int_customer_rhythms") }} as rhythms
        on customers.customer_id = rhythms.customer_id
    where customers.receipts > 0
),

bought as (
    select
        count(*) as buyers,
        sum(case when visits > 1 then 1 else 0 end) as repeat_buyers,
        sum(case when fifth = 1 then revenue else 0 end)
        / nullif(cast(sum(revenue) as double), 0) as top_fifth_share
    from buyers
),

then_at as (
    select
        customer_id,
        level,
        row_number() over (
            partition by customer_id
            order by changed_on desc, case when level = 'lapsed' then 1 else 0 end asc
        ) as place
    from {{ ref("relationship_transitions") }}
    where changed_on <= {{ days_after(business_date(), -91) }}
),

lost as (
    select
        count(*) as kept_before,
        sum(case when customers.relationship_level = 'lapsed' then 1 else 0 end) as lapsed_since
    from then_at
    inner join {{ ref("customers") }} as customers on then_at.customer_id = customers.customer_id
    where then_at.place = 1 and then_at.level in ('new', 'active')
)

select
    cast(bought.buyers as bigint) as buyers,
    cast(coalesce(bought.repeat_buyers, 0) as bigint) as repeat_buyers,
    cast(bought.repeat_buyers / nullif(cast(bought.buyers as double), 0) as decimal(9, 4))
        as repeat_rate,
    cast(bought.top_fifth_share as decimal(9, 4)) as top_fifth_share,
    cast(lost.kept_before as bigint) as kept_before,
    cast(coalesce(lost.lapsed_since, 0) as bigint) as lapsed_since,
    cast(lost.lapsed_since / nullif(cast(lost.kept_before as double), 0) as decimal(9, 4))
        as churn
from bought
cross join lost
