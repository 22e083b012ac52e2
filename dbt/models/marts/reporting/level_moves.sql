{{ config(tags=["daily", "report"]) }}

-- How many people moved from which level to which, by week, in the last 26 weeks.
select
    {{ monday_of("changed_on") }} as week_on,
    previous_level,
    level,
    count(*) as moves
from {{ ref("relationship_transitions") }}
where
    changed_on >= {{ days_after(monday_of(days_after(business_date(), -1)), -175) }}
    and changed_on < {{ business_date() }}
group by {{ monday_of("changed_on") }}, previous_level, level
