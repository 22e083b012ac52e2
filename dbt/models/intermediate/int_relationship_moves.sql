{{
    config(
        materialized="incremental",
        incremental_strategy="append",
        pre_hook="{{ forget_touched() }}",
    )
}}

-- Each silence is judged by the rhythm that the customer had when it began, so that what comes
-- later does not change the past. Which move comes next and whether one is the first to its level
-- is asked of all moves every day, and so worked out here, for touched customers only.
with visits as (
    select * from {{ ref("int_customer_visits") }}
    where {{ is_touched("customer_id") }}
),

long_gaps as (
    -- Nobody lapses sooner than after 45 days.
    select * from visits
    where {{ days_between("previously_on", "visited_on") }} >= 45
),

silences as (
    select
        long_gaps.customer_id,
        long_gaps.visit,
        long_gaps.visited_on,
        long_gaps.previously_on,
        cast(
            median({{ days_between("earlier.previously_on", "earlier.visited_on") }})
            as decimal(9, 1)
        ) as median_days
    from long_gaps
    left join visits as earlier
        on
            long_gaps.customer_id = earlier.customer_id
            and long_gaps.visit > earlier.visit
    group by
        long_gaps.customer_id, long_gaps.visit, long_gaps.visited_on, long_gaps.previously_on
),

lapses as (
    select
        customer_id,
        visit,
        row_number() over (partition by customer_id order by visit) = 1 as is_first,
        visited_on as returned_on,
        {{ days_after("previously_on", lapsed_after_days("median_days")) }} as lapsed_on
    from silences
    where
        {{ days_between("previously_on", "visited_on") }} >= {{ lapsed_after_days("median_days") }}
),

regulars as (
    select
        visits.customer_id,
        visits.visited_on
    from visits
    left join lapses on visits.customer_id = lapses.customer_id and visits.visit = lapses.visit
    where visits.visit = 3 and lapses.customer_id is null
),

latest as (
    select
        figures.customer_id,
        coalesce(figures.visits, 1) as visits,
        lapses.customer_id is null as is_first,
        {{
            days_after(
                "figures.last_purchase_on",
                lapsed_after_days("figures.median_days_between_purchases"),
            )
        }} as lapses_on
    from {{ ref("int_customer_figures") }} as figures
    left join lapses on figures.customer_id = lapses.customer_id and lapses.is_first
    where figures.last_purchase_on is not null and {{ is_touched("figures.customer_id") }}
),

moves as (
    select
        customer_id,
        'new' as level,
        cast(null as varchar) as previous_level,
        visited_on as changed_on,
        true as is_first
    from visits
    where visit = 1
    union all
    select
        customer_id,
        'active' as level,
        'new' as previous_level,
        visited_on as changed_on,
        true as is_first
    from regulars
    union all
    select
        customer_id,
        'lapsed' as level,
        {{ level_of_buyer("visit - 1") }} as previous_level,
        lapsed_on as changed_on,
        is_first
    from lapses
    union all
    select
        customer_id,
        {{ level_of_buyer("visit") }} as level,
        'lapsed' as previous_level,
        returned_on as changed_on,
        visit = 3 as is_first
    from lapses
    union all
    -- What comes if the customer does not; the day may lie ahead.
    select
        customer_id,
        'lapsed' as level,
        {{ level_of_buyer("visits") }} as previous_level,
        lapses_on as changed_on,
        is_first
    from latest
)

select
    customer_id,
    level,
    previous_level,
    changed_on,
    lead(changed_on) over (
        -- A lapse is the morning's, and so comes before a return on the same day.
        partition by customer_id order by changed_on, case when level = 'lapsed' then 0 else 1 end
    ) as left_on,
    lead(level) over (
        partition by customer_id order by changed_on, case when level = 'lapsed' then 0 else 1 end
    ) as next_level,
    is_first
from moves
