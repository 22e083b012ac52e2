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

moves as (
    select
        transitions.*,
        levels.place,
        lead(transitions.changed_on) over (
            partition by transitions.customer_id order by transitions.changed_on, levels.place % 5
        ) as left_on,
        lead(levels.place) over (
            partition by transitions.customer_id order by transitions.changed_on, levels.place % 5
        ) as next_place
    from {{ ref("relationship_transitions") }} as transitions
    inner join levels on transitions.level = levels.level
),

passed as (
    select
        level,
        count(distinct customer_id) as people_ever,
        count(distinct case
            when next_place < 5 and (next_place > place or level = 'lapsed') then customer_id
        end) as went_on,
        median(case when left_on is not null then {{ days_between("changed_on", "left_on") }} end)
            as median_days
    from moves
    group by level
),

present as (
    select
        relationship_level as level,
        count(*) as people,
        sum(revenue) as revenue
    from {{ ref("customers") }}
    group by relationship_level
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
    cast(round(present.revenue / nullif(cast(present.people as double), 0)) as bigint)
        as average_revenue
from levels
left join passed on levels.level = passed.level
left join present on levels.level = present.level
