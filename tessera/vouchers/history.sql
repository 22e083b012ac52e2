-- name: told
-- A day without a time is its first instant in the shop's zone. What looks like nothing is nothing. A code
-- is kept as tills read it; a row's name follows from how it was spelt.
create or replace temp table told as
select
    code, customer_id, happened_at,
    left(sha256(concat_ws(chr(31), spelt, customer_id, happened_at, row_number() over (
        partition by spelt, customer_id, happened_at
    ))), 32) as redemption_id,
    code <> '' and happened_at is not null as is_usable
from (
    select
        upper(trim(cast({code} as varchar))) as spelt,
        coalesce(translate(spelt, $seen || $ignored, $meant), '') as code,
        nullif(trim(cast({customer} as varchar)), '') as customer_id,
        strftime(
            (try_cast({on} as timestamp) at time zone $zone) at time zone 'UTC',
            '%Y-%m-%dT%H:%M:%S+00:00'
        ) as happened_at
    from {source}
)

-- name: counts
select
    count(*), count(*) filter (where not is_usable),
    count(distinct customer_id) filter (where is_usable)
from told

-- name: codes
select code, count(*) as uses from told where is_usable group by code order by code

-- name: redemptions
select
    redemption_id, $store as store_id, 'used' as state, 0 as points, 0 as points_back, 0 as paid,
    0 as discount, happened_at as at
from told
where is_usable
order by happened_at, redemption_id

-- name: members
select redemption_id, customer_id from told
where is_usable and customer_id is not null
order by redemption_id

-- name: uses
select redemption_id, code, 0 as discount from told where is_usable order by redemption_id

-- name: more_uses
-- A code may be used as often as it was, by this file and by earlier ones.
update voucher set uses = used.uses
from (select count(*) as uses from voucher_use where code = :code) as used
where voucher.code = :code and voucher.uses < used.uses and voucher.batch = 'elsewhere'
