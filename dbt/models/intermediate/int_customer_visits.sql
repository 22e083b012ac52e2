{{
    config(
        materialized="incremental",
        incremental_strategy="append",
        pre_hook="{{ forget_unless_gone_on_with('added.sold_on < known.visited_on') }}",
    )
}}

-- depends_on: {{ ref("int_added_receipts") }}
with known as (
    -- Who comes again goes on from the last visit.
    {% if is_partial() %}
    select
        customer_id,
        max(visit) as visits,
        max(visited_on) as last_on,
        min(first_on) as first_on
    from {{ this }}
    where {{ is_touched("customer_id") }}
    group by customer_id
    {% else %}
    select
        cast(null as varchar) as customer_id,
        cast(null as bigint) as visits,
        cast(null as date) as last_on,
        cast(null as date) as first_on
    where false
    {% endif %}
),

parts as (
    {{ with_customer(ref("int_receipt_parts"), known="known") }}
),

days as (
    -- A second receipt on a day is no new visit.
    select distinct
        customer_id,
        sold_on
    from parts
    where kind = 'sale' and sold_at < {{ as_of() }}
    {% if is_partial() %}
    union
    select
        added.customer_id,
        added.sold_on
    from {{ ref("int_added_receipts") }} as added
    inner join known on added.customer_id = known.customer_id and added.sold_on > known.last_on
    where added.kind = 'sale' and added.sold_at < {{ as_of() }}
    {% endif %}
),

ordered as (
    select
        customer_id,
        row_number() over (partition by customer_id order by sold_on) as place,
        sold_on,
        lag(sold_on) over (partition by customer_id order by sold_on) as previously_on,
        first_value(sold_on) over (partition by customer_id order by sold_on) as first_on
    from days
),

numbered as (
    select
        ordered.customer_id,
        ordered.place + coalesce(known.visits, 0) as visit,
        ordered.sold_on as visited_on,
        coalesce(ordered.previously_on, known.last_on) as previously_on,
        coalesce(known.first_on, ordered.first_on) as first_on
    from ordered
    left join known on ordered.customer_id = known.customer_id
)

select
    customer_id,
    visit,
    visited_on,
    previously_on,
    first_on,
    previously_on is null
    or {{ month_of("previously_on") }} < {{ month_of("visited_on") }} as is_first_of_month
from numbered
