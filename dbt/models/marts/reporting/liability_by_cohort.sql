{{ config(tags=["daily"]) }}

-- Of the points that came in in each month: how many were spent, ended, taken back, are there. What
-- went to another member is counted with the lot that it went to.
with cohorts as (
    select
        programme,
        {{ month_of(local_date("earned_at")) }} as earned_in,
        cast(sum(amount - moved) as bigint) as points,
        cast(sum(spent) as bigint) as spent,
        cast(sum(ended) as bigint) as ended,
        cast(sum(taken_back) as bigint) as taken_back,
        cast(sum(remaining) as bigint) as remaining
    from {{ ref("int_lots") }}
    group by programme, {{ month_of(local_date("earned_at")) }}
)

select
    *,
    cast(ended / nullif(spent + ended, 0) as decimal(9, 4)) as breakage
from cohorts
