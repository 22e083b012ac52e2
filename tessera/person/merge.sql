-- name: touching
select customer_id, into_customer_id from person_merge
where is_in_force = 1 and (
    customer_id in (:keep, :other) or into_customer_id = :other
)

-- name: merged
select 1 from person_merge
where customer_id = :other and into_customer_id = :keep and is_in_force = 1

-- name: write
insert into person_merge (customer_id, into_customer_id, is_in_force, recorded_at)
values (:other, :keep, :is_in_force, :at)
on conflict (customer_id) do update
set
    into_customer_id = excluded.into_customer_id,
    is_in_force = excluded.is_in_force,
    recorded_at = excluded.recorded_at

-- name: all
select customer_id, into_customer_id, cast(is_in_force as text) as is_in_force, recorded_at
from person_merge
order by customer_id

-- name: set_apart
insert into person_apart (customer_id, into_customer_id, recorded_at) values (:first, :second, :at)
on conflict do nothing

-- name: join
delete from person_apart where customer_id = :first and into_customer_id = :second

-- name: apart
select customer_id, into_customer_id from person_apart

-- name: in_force
select customer_id, into_customer_id from person_merge where is_in_force = 1
