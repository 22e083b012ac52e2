{{ config(tags=["daily"]) }}

-- Points that members can or will be able to spend, by the month in which they end; null: never.
-- What is held for somebody ends with the lot it is of, which may have ended meanwhile.
select
    programme,
    {{ month_of("expires_on") }} as expires_in,
    cast(sum(remaining + held) as bigint) as points
from {{ ref("int_lots") }}
where remaining + held > 0
group by programme, {{ month_of("expires_on") }}
