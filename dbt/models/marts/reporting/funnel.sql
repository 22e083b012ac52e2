{{ config(tags=["daily", "report"]) }}

-- The levels of a relationship as a funnel: who came so far, who went on, and after how long. One
-- row per level, also of those that nobody is at.
with levels as (
    select
        1 as place,
        'potential' as level
    union all
    select
        2 as place,
        'engaged' as level
    union all
    select
        3 as place,
        'new' as level
    union all
    select
        4 as place,
        'active' as level
    union all
    select
        5 as place,
        'lapsed' as level
),

steps as (
    -- Nobody is at the first two levels twice.
    select
        level,
        true as is_first,
        next_level,
        changed_on,
        left_on
    from {{ ref("int_first_steps") }}
    union all
    select
        level,
        is_first,
        next_level,
        changed_on,
        case when left_on <= {{ business_date() }} then left_on end as left_on
    from {{ ref("int_relationship_moves") }}
    where changed_on <= {{ business_date() }}
),

passed as (
    select
        level,
        sum(case when is_first then 1 else 0 end) as people_ever,
        -- A level is left for a higher one once, but a lapse for a return again and again.
        sum(case
            when left_on is not null and next_level <> 'lapsed' and (is_first or level <> 'lapsed')
                then 1
            else 0
        end) as went_on,
        median({{ days_between("changed_on", "left_on") }}) as median_days
    from steps
    group by level
),

present as (
    -- Who buys in another currency is no part of the average.
    select
        customers.relationship_level as level,
        count(*) as people,
        avg(
            case
                when coalesce(customers.currency, own.currency) = own.currency
                    then cast(customers.revenue as double)
            end
        ) as average_revenue
    from {{ ref("customers") }} as customers
    left join {{ ref("int_shop_currency") }} as own on true
    group by customers.relationship_level
)

select
    cast(levels.place as integer) as place,
    levels.level,
    cast(coalesce(present.people, 0) as bigint) as people,
    cast(coalesce(passed.people_ever, 0) as bigint) as people_ever,
    cast(case when levels.level <> 'active' then coalesce(passed.went_on, 0) end as bigint)
        as went_on,
    cast(
        case when levels.level <> 'active' then passed.went_on end
        / nullif(cast(passed.people_ever as double), 0) as decimal(9, 4)
    ) as conversion,
    cast(passed.median_days as decimal(9, 1)) as median_days,
    cast(round(present.average_revenue) as bigint) as average_revenue
from levels
left join passed on levels.level = passed.level
left join present on levels.level = present.level
