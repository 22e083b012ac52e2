{{ config(tags=["daily"]) }}

-- Simple for now: a tier is what the revenue so far brings. Who crossed a limit in the last 31
-- days, the last time they did.
with recent as (
    select
        coalesce(owners.customer_id, parts.card_id) as customer_id,
        parts.currency,
        parts.sold_on,
        sum(parts.amount) as amount
    from {{ ref("int_receipt_parts") }} as parts
    left join {{ ref("int_card_owners") }} as owners on parts.card_id = owners.card_id
    where
        parts.card_id is not null
        and parts.sold_at < {{ as_of() }}
        and parts.sold_at >= {{ instant_days_after(as_of(), -31) }}
    group by coalesce(owners.customer_id, parts.card_id), parts.currency, parts.sold_on
),

revenues as (
    select
        recent.customer_id,
        recent.sold_on,
        recent.amount,
        purchases.revenue - coalesce(
            sum(recent.amount) over (
                partition by recent.customer_id
                order by recent.sold_on desc
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as revenue
    from recent
    inner join {{ ref("int_customer_purchases") }} as purchases
        on recent.customer_id = purchases.customer_id and recent.currency = purchases.currency
),

changes as (
    select
        customer_id,
        {{ tier_of("revenue") }} as tier,
        {{ tier_of("revenue - amount") }} as previous_tier,
        amount > 0 as is_raised,
        sold_on as changed_on
    from revenues
),

ranked as (
    select
        *,
        row_number() over (partition by customer_id order by changed_on desc) as place
    from changes
    where tier <> previous_tier
)

select
    customer_id,
    tier,
    previous_tier,
    is_raised,
    changed_on
from ranked
where place = 1
