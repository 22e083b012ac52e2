{{ config(tags=["daily"]) }}

-- Who moved to another tier in the last 31 days, and to which; the last move of a night counts.
with moves as (
    select
        *,
        row_number() over (
            partition by programme, customer_id order by business_date desc, position desc
        ) as place
    from {{ ref("stg_engine__tier_moves") }}
    where business_date < {{ business_date() }} and reason <> 'kept'
)

select
    customer_id,
    tier,
    reason = 'reached' as is_raised,
    business_date as changed_on
from moves
where place = 1 and business_date >= {{ days_after(business_date(), -31) }}
