{{ config(tags=["daily", "report"]) }}

-- One row: the first of the days that are looked at, which are the last 92 and those of the targets
-- under way or just over.
select
    least(
        {{ days_after(business_date(), -92) }},
        coalesce(min(period_start), {{ business_date() }})
    ) as first_on
from {{ ref("stg_shop__targets") }}
where
    period_start < {{ business_date() }}
    and period_end >= {{ days_after(business_date(), -62) }}
