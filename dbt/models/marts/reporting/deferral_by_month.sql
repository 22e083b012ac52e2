{{ config(tags=["daily"]) }}

-- The part of each month's sales that is earned only when their points are spent or end: the price
-- is shared by stand-alone value, that of the points being what they pay times the share that is
-- expected to be spent (IFRS 15, B39 to B42). A month's sales are taken together, less returns, on
-- whatever day their points were posted or corrected. A receipt in several currencies that earn
-- shares its points by their amounts as the rules count them, in minor units of whatever currency.
{% set worth = var("worth") %}
with transfers as (
    -- What corrects a return that names no receipt has the return for its source.
    select
        source_id as transaction_id,
        case
            when kind = 'clawback' then 'return'
            when kind = 'adjust' and idem_key like '%:(return):%' then 'return'
            else 'sale'
        end as kind,
        credit,
        amount
    from {{ ref("stg_engine__point_transfers") }}
    where
        programme = '{{ worth.programme }}'
        and kind in ('earn', 'adjust', 'clawback')
        and business_date < {{ business_date() }}
),

moved as (
    -- What was corrected to nothing has no points, as if it had been right from the start.
    select
        transaction_id,
        kind,
        sum(case when credit like 'member:%' then amount else -amount end) as points
    from transfers
    group by transaction_id, kind
    having sum(case when credit like 'member:%' then amount else -amount end) <> 0
),

receipts as (
    select
        {{ month_of("min(parts.sold_on)") }} as month,
        parts.currency,
        moved.transaction_id,
        moved.kind,
        any_value(moved.points) as points,
        sum(parts.amount) as amount
    from moved
    inner join {{ ref("int_receipt_parts") }} as parts
        on moved.transaction_id = parts.transaction_id and moved.kind = parts.kind
    {% if worth.currency | default("any") != "any" %}
    where parts.currency = '{{ worth.currency }}'
    {% endif %}
    group by parts.currency, moved.transaction_id, moved.kind
),

placed as (
    select
        *,
        sum(amount) over (partition by transaction_id, kind) as amount_in_all,
        sum(amount) over (
            partition by transaction_id, kind
            order by currency
            rows between unbounded preceding and current row
        ) as amount_through,
        row_number() over (partition by transaction_id, kind order by currency) as place
    from receipts
),

shared as (
    -- In whole points: what all up to a currency have, less what those before it have.
    select
        month,
        currency,
        amount,
        case
            when amount_in_all = 0 and place = 1 then points
            when amount_in_all = 0 then 0
            else
                {{ share_of("points", "amount_through", "amount_in_all") }}
                - {{ share_of("points", "(amount_through - amount)", "amount_in_all") }}
        end as points
    from placed
),

months as (
    select
        month,
        currency,
        count(*) as receipts,
        sum(amount) as sales,
        sum(points) as points
    from shared
    group by month, currency
)

select
    '{{ worth.programme }}' as programme,
    month,
    currency,
    receipts,
    cast(sales as bigint) as sales,
    cast(points as bigint) as points,
    {{ deferred_of("sales", "points") }} as deferred
from months
