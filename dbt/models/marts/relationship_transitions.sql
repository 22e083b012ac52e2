{{ config(tags=["daily"]) }}

-- Every move from one relationship level to another, up to the business date, worked out from the
-- feeds alone: the days may be built in any order. What happened on one day is one move, but a
-- lapse, which is the morning's, and a return later that day are two.
select
    customer_id,
    level,
    previous_level,
    changed_on
from {{ ref("int_first_steps") }}
union all
select
    moves.customer_id,
    moves.level,
    coalesce(moves.previous_level, steps.level) as previous_level,
    moves.changed_on
from {{ ref("int_relationship_moves") }} as moves
left join {{ ref("int_first_steps") }} as steps
    on moves.customer_id = steps.customer_id and steps.next_level = 'new'
where moves.changed_on <= {{ business_date() }}
