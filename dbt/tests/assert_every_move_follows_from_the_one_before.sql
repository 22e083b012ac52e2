-- And the last one leads to the level that the customer is at.
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
),

last_moves as (
    select * from moves
    where level_after is null
)

select
    customer_id,
    level,
    previous_level as level_elsewhere,
    level_before as level_expected
from moves
where previous_level is distinct from level_before or level = level_before
union all
select
    last_moves.customer_id,
    last_moves.level,
    customers.relationship_level as level_elsewhere,
    last_moves.level as level_expected
from last_moves
inner join {{ ref("customers") }} as customers on last_moves.customer_id = customers.customer_id
where last_moves.level <> customers.relationship_level
