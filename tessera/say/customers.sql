-- name: no_stores
-- A shop that lands no stores has customers all the same.
create view if not exists stores as
select null::varchar as store_id, null::varchar as name where false

-- name: no_products
create view if not exists products as
select null::varchar as product_id, null::varchar as name where false

-- name: no_recommendations
-- Before the first night nobody is recommended anything.
create view if not exists recommendations as
select
    null::varchar as customer_id,
    null::bigint as rank,
    null::varchar as product_id,
    null::varchar as kind
where false

-- name: customers
select
    c.customer_id,
    c.email,
    c.phone,
    c.has_complaint_open,
    c.given_name,
    c.language,
    c.favourite_category,
    s.name as favourite_store,
    c.last_purchase_on,
    strftime(c.last_purchase_at, '%Y-%m-%dT%H:%M:%S+00:00') as last_purchase_at,
    c.points_expiring,
    c.points_expire_on,
    c.tier,
    c.next_tier,
    c.points_to_next_tier
from customers as c
left join stores as s on s.store_id = c.favourite_store_id
where c.customer_id in (select unnest($ids))

-- name: recommended
-- The file is in the order of its customers, so the bounds spare reading most of it.
select
    r.customer_id,
    (list(p.name order by r.rank) filter (r.kind = 'replenish'))[:3] as usual_products,
    (list(p.name order by r.rank) filter (r.kind <> 'replenish'))[:3] as suggested_products
from recommendations as r
inner join products as p on p.product_id = r.product_id
where r.customer_id between $least and $most
    and r.customer_id in (select unnest($ids)) and p.name is not null
group by r.customer_id

-- name: balances
-- What tills would take: not the points of a programme beside which this one was begun.
select owner_id as customer_id, balance as points
from account
where
    programme = :programme and owner_type = 'member' and bucket = 'available'
    and owner_id in (select value from {ids})

-- name: prospects
select customer_id, into_customer_id from known_as
where starts_with(customer_id, 'prospect:') and into_customer_id in (select unnest($ids))
