{{ config(tags=["daily"]) }}

-- The part of each month's sales that is earned only when their points are spent or end: the
-- price is shared by stand-alone value, that of the points being what they pay times the share
-- that is expected to be spent (IFRS 15, B39 to B42). A month's sales are taken together, less
-- all that came back of them since, on whatever day their points were posted, taken back or
-- corrected. A return that names no receipt is a sale of its own. A receipt in several currencies
-- that earn shares its points by their amounts as the rules count them, in minor units of
-- whatever currency.
{% set worth = var("worth") %}
with returned as (
    select
        transaction_id,
        concat('clawback:', transaction_id, ':', line_id, ':') as key_begins,
        coalesce(original_transaction_id, transaction_id) as sale_id,
        case when original_transaction_id is null then 'return' else 'sale' end as kind,
        currency,
        {{ local_date("sold_at") }} as sold_on,
        amount
    from {{ ref("stg_shop__transactions") }}
    where kind = 'return'
),

transfers as (
    select
        *,
        case when credit like 'member:%' then amount else -amount end as points
    from {{ ref("stg_engine__point_transfers") }}
    where
        programme = '{{ worth.programme }}'
        and kind in ('earn', 'adjust', 'clawback')
        and business_date < {{ business_date() }}
),

placed as (
    -- Whose points a return took is what its line says by now, as the ledger has it. What corrects
    -- the returns of a receipt has the receipt for its source; of one that names none, the return.
    select
        coalesce(returned.sale_id, transfers.source_id) as sale_id,
        case
            when returned.sale_id is not null then returned.kind
            when transfers.idem_key like '%:(return):%' then 'return'
            else 'sale'
        end as kind,
        transfers.points,
        case
            when returned.kind = 'sale' or transfers.idem_key like '%:(returns):%' then 0
            else transfers.points
        end as given
    from transfers
    left join returned
        on
            transfers.kind = 'clawback'
            and transfers.source_id = returned.transaction_id
            and transfers.idem_key in (
                concat(returned.key_begins, transfers.rule),
                concat(returned.key_begins, transfers.rule, ':+')
            )
),

moved as (
    -- What was corrected to nothing has no points, as if it had been right from the start.
    select
        sale_id,
        kind,
        sum(points) as points
    from placed
    group by sale_id, kind
    having sum(given) <> 0
),

parts as (
    select
        transaction_id as sale_id,
        kind,
        currency,
        sold_on,
        amount
    from {{ ref("int_receipt_parts") }}
    where kind = 'sale'
    union all
    -- Those of yesterday the ledger has not seen.
    select
        sale_id,
        kind,
        currency,
        case when kind = 'return' then sold_on end as sold_on,
        amount
    from returned
    where sold_on < {{ days_after(business_date(), -1) }}
),

sales as (
    select
        min(min(parts.sold_on)) over (partition by moved.sale_id, moved.kind) as sold_on,
        parts.currency,
        moved.sale_id,
        moved.kind,
        any_value(moved.points) as points,
        sum(parts.amount) as amount
    from moved
    inner join parts on moved.sale_id = parts.sale_id and moved.kind = parts.kind
    {% if worth.currency | default("any") != "any" %}
    where parts.currency = '{{ worth.currency }}'
    {% endif %}
    group by parts.currency, moved.sale_id, moved.kind
),

ordered as (
    select
        *,
        sum(amount) over (partition by sale_id, kind) as amount_in_all,
        sum(amount) over (
            partition by sale_id, kind
            order by currency
            rows between unbounded preceding and current row
        ) as amount_through,
        row_number() over (partition by sale_id, kind order by currency) as place
    from sales
),

shared as (
    -- In whole points: what all up to a currency have, less what those before it have.
    select
        {{ month_of("sold_on") }} as month,
        currency,
        amount,
        case
            when amount_in_all = 0 and place = 1 then points
            when amount_in_all = 0 then 0
            else
                {{ share_of("points", "amount_through", "amount_in_all") }}
                - {{ share_of("points", "(amount_through - amount)", "amount_in_all") }}
        end as points
    from ordered
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
