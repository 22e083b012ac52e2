{{ config(tags=["daily"]) }}

-- Points that members can or will be able to spend, by the month in which they end; null: never.
select
    programme,
    {{ month_after("expires_on", 0) }} as expires_in,
    cast(sum(remaining) as bigint) as points
from {{ ref("int_lots") }}
where remaining > 0
group by programme, {{ month_after("expires_on", 0) }}
