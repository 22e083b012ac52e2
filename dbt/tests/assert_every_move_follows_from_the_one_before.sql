with moves as (
    select
        *,
        lag(level) over (
            partition by customer_id
            order by changed_on, case when level = 'lapsed' then 0 else 1 end
        ) as level_before
    from {{ ref("relationship_transitions") }}
)

select
    customer_id,
    level,
    previous_level,
    level_before
from moves
where previous_level is distinct from level_before or level = level_before
