{{ config(tags=["daily", "report"]) }}

-- Plan against actual: every target that is under way, ended in the last 62 days, or begins within
-- 31. What is left of a period is expected to go like the last four weeks did.
with targets as (
    select
        *,
        case when period_end < {{ business_date() }} then 1 else 0 end as is_over,
        least({{ days_after("period_end", 1) }}, {{ business_date() }}) as counted_until,
        greatest({{ days_between(business_date(), "period_end") }} + 1, 0) as days_left
    from {{ ref("stg_shop__targets") }}
    where
        period_end >= {{ days_after(business_date(), -62) }}
        and period_start <= {{ days_after(business_date(), 31) }}
),

currency as (
    select currency from {{ ref("int_shop_currency") }}
),

metrics as (
    select 'revenue' as metric
    union all
    select 'receipts' as metric
    union all
    select 'products' as metric
),

contacts as (
    select
        customer_id as prospect,
        min(business_date) as contacted_on
    from {{ ref("stg_engine__messages") }}
    where
        customer_id like 'prospect:%' and {{ has_left("state") }}
    group by customer_id
    union all
    select
        prospect_id as prospect,
        min({{ local_date("occurred_at") }}) as contacted_on
    from {{ ref("stg_shop__interactions") }}
    where prospect_id is not null and kind = 'contact' and occurred_at < {{ as_of() }}
    group by prospect_id
),

happened as (
    select
        metrics.metric,
        sales.scope,
        sales.scope_id,
        sales.sold_on as happened_on,
        case metrics.metric
            when 'revenue' then cast(sales.revenue as double) / {{ minor_units("sales.currency") }}
            when 'receipts' then cast(sales.receipts as double)
            else cast(sales.units as double)
        end as amount
    from {{ ref("int_recent_sales") }} as sales
    cross join metrics
    left join currency on sales.currency = currency.currency
    where metrics.metric <> 'revenue' or currency.currency is not null
    union all
    select
        'new_customers' as metric,
        'shop' as scope,
        'all' as scope_id,
        first_purchase_on as happened_on,
        1 as amount
    from {{ ref("customers") }}
    where first_purchase_on is not null
    union all
    select
        'new_customers' as metric,
        'source' as scope,
        acquisition_source as scope_id,
        first_purchase_on as happened_on,
        1 as amount
    from {{ ref("customers") }}
    where first_purchase_on is not null and acquisition_source is not null
    union all
    select
        'prospects_contacted' as metric,
        'shop' as scope,
        'all' as scope_id,
        contacted_on as happened_on,
        1 as amount
    from contacts
),

elsewhere as (
    -- What sells in other currencies only has no revenue in the shop's, and no target in it.
    select
        sales.scope,
        sales.scope_id
    from {{ ref("int_recent_sales") }} as sales
    left join currency on sales.currency = currency.currency
    group by sales.scope, sales.scope_id
    having count(currency.currency) = 0
),

summed as (
    -- Rounded: floating point sums differ with their order, and a target met to the cent is met.
    select
        targets.metric,
        targets.scope,
        targets.scope_id,
        targets.period_start,
        round(sum(
            case
                when
                    happened.happened_on >= targets.period_start
                    and happened.happened_on < targets.counted_until
                    then happened.amount
                else 0
            end
        ), 4) as actual,
        round(sum(
            case
                when
                    happened.happened_on >= {{ days_after(business_date(), -28) }}
                    and happened.happened_on < {{ business_date() }}
                    then happened.amount
                else 0
            end
        ), 4) / 28 as per_day
    from targets
    inner join happened
        on
            targets.metric = happened.metric
            and targets.scope = happened.scope
            and targets.scope_id = happened.scope_id
    group by targets.metric, targets.scope, targets.scope_id, targets.period_start
),

moves as (
    select
        changed_on,
        sum(case when level = 'active' then 1 else 0 end) as came,
        sum(case when previous_level = 'active' then 1 else 0 end) as went
    from {{ ref("relationship_transitions") }}
    group by changed_on
),

active as (
    -- A state, not a sum: who is active when the period ends, or now. Every move begins at the
    -- level that the one before it led to.
    select
        targets.scope,
        targets.scope_id,
        targets.period_start,
        sum(moves.came - moves.went) as actual
    from targets
    inner join moves on targets.counted_until > moves.changed_on
    where targets.metric = 'active_customers'
    group by targets.scope, targets.scope_id, targets.period_start
),

figures as (
    select
        targets.*,
        case
            when targets.metric = 'revenue' and elsewhere.scope_id is not null then null
            when targets.metric = 'active_customers' and targets.scope = 'shop'
                then coalesce(active.actual, 0)
            when
                targets.metric in (
                    'revenue', 'receipts', 'products', 'new_customers', 'prospects_contacted'
                )
                then coalesce(summed.actual, 0)
        end as actual,
        case
            when targets.metric = 'active_customers' then coalesce(active.actual, 0)
            else coalesce(summed.actual, 0) + coalesce(summed.per_day, 0) * targets.days_left
        end as projected
    from targets
    left join summed
        on
            targets.metric = summed.metric
            and targets.scope = summed.scope
            and targets.scope_id = summed.scope_id
            and targets.period_start = summed.period_start
    left join elsewhere
        on targets.scope = elsewhere.scope and targets.scope_id = elsewhere.scope_id
    left join active
        on
            targets.scope = active.scope
            and targets.scope_id = active.scope_id
            and targets.period_start = active.period_start
)

select
    metric,
    scope,
    scope_id,
    period_start,
    period_end,
    target,
    cast(case when period_start < {{ business_date() }} then actual end as decimal(18, 3))
        as actual,
    cast(
        case when period_start < {{ business_date() }} and actual is not null then projected end
        as decimal(18, 3)
    ) as projected,
    case
        when actual is null then 'not measured'
        when period_start >= {{ business_date() }} then 'not begun'
        when actual >= target then 'met'
        when is_over = 1 then 'missed'
        when projected >= target then 'on track'
        when projected >= 0.9 * target then 'behind'
        else 'out of reach'
    end as status
from figures
