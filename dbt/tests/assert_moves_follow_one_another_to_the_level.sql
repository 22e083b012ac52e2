-- Every move begins at the level that the one before led to, and the last one leads to the
-- customer's level.
with moves as (
    select
        *,
        -- A lapse is the morning's, and so comes before a return on the same day.
        lag(level) over (
            partition by customer_id
            order by changed_on, case when level = 'lapsed' then 0 else 1 end
        ) as level_before,
        lead(level) over (
            partition by customer_id
            order by changed_on, case when level = 'lapsed' then 0 else 1 end
        ) as level_after
    from {{ ref("relationship_transitions") }}
)

select
    moves.customer_id,
    moves.previous_level,
    moves.level_before,
    moves.level,
    customers.relationship_level
from moves
left join {{ ref("customers") }} as customers
    on moves.customer_id = customers.customer_id and moves.level_after is null
where
    moves.previous_level is distinct from moves.level_before
    or moves.level = moves.level_before
    or customers.relationship_level <> moves.level
