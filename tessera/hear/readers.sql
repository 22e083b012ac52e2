-- name: addresses
with asked as (select unnest({customers}::varchar[]) as customer_id)

select
    asked.customer_id,
    customers.email
from asked
left join known_as on asked.customer_id = known_as.customer_id
inner join customers on coalesce(known_as.into_customer_id, asked.customer_id) = customers.customer_id
where customers.email is not null
