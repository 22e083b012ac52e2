-- The level of each customer is the one that the last recorded move led to.
with moves as (
    select
        *,
        row_number() over (
            partition by customer_id
            -- A lapse is the morning's, and so comes before a return on the same day.
            order by changed_on desc, case when level = 'lapsed' then 1 else 0 end
        ) as place
    from {{ ref("relationship_transitions") }}
)

select
    customers.customer_id,
    customers.relationship_level,
    moves.level
from {{ ref("customers") }} as customers
inner join moves on customers.customer_id = moves.customer_id and moves.place = 1
where customers.relationship_level <> moves.level
