-- In DuckDB, from the published marts, before anything of the store is known.

-- name: reason
create type reason as enum ({reasons})

-- name: stirred
create or replace macro stirred(number, bits, times) as (
    (xor(number, number >> bits) * times) & 4294967295
)

-- name: mixed
-- A person's 32 bits once more, for one draw: as good as new ones, and a tenth of the time of a digest.
create or replace macro mixed(draw, salt) as (
    stirred(
        stirred(xor(cast(draw as ubigint), cast(salt as ubigint)), 16, cast(2146121005 as ubigint)),
        15, cast(2221713035 as ubigint)
    )
)

-- name: bucket_of
-- 0 to 9,999. The salt of a draw makes each campaign's control group its own; a share only moves the bar.
create or replace macro bucket_of(draw, salt) as ((mixed(draw, salt) * 10000) >> 32)

-- name: unit_of
-- Where a person's draw falls among the units of a step's content.
create or replace macro unit_of(draw, salt, units) as (
    if(units = 1, 0, (mixed(draw, salt) * units) >> 32)
)

-- name: date_in
create or replace macro date_in(moment, zone) as (cast(timezone(zone, timezone('UTC', moment)) as date))

-- name: hash_of
-- An address in plain letters is hashed here; one that needs thought, by the function all share.
create or replace macro hash_of(email) as (
    case
        when regexp_full_match(email, '[A-Za-z0-9._%+-]{1,64}@([a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?\.){1,4}[a-z]{2,20}')
            then sha256(lower(email))
        else hash_of_address(email)
    end
)

-- name: hash_of_phone
-- A number with its country; to any other no text message can be sent.
create or replace macro hash_of_phone(phone) as (
    case
        when regexp_full_match(regexp_replace(phone, '[^0-9+]', '', 'g'), '\+[0-9+]{7,}')
            then sha256(regexp_replace(phone, '[^0-9+]', '', 'g'))
    end
)

-- name: person
-- Everybody who may be a candidate, in the order of their ids. Who is in an audience but not among the customers
-- has no address; to look for such takes longer than all else here, so it is done where there are any.
create or replace temp table person as
with known as (
    select
        customer_id,
        household_id,
        coalesce(nullif(trim(language), ''), getvariable('language')) as language,
        timezone,
        {best_hour} as best_hour,
        coalesce(has_complaint_open, false) as has_complaint_open,
        hash_of(email) as address_hash,
        {phone_hash} as phone_hash,
        last_purchase_at,
        {satisfaction_score} as satisfaction_score,
        {satisfaction_at} as satisfaction_at
    from customers
    union all by name
    select distinct customer_id, getvariable('language') as language, false as has_complaint_open
    from ({strangers})
    where customer_id not in (select customer_id from customers)
),

numbered as (
    select cast(row_number() over (order by customer_id) as integer) as cid, * from known
)

select
    *,
    {household} as gid,
    cast('0x' || left(md5(customer_id), 8) as ubigint) as draw
from numbered

-- name: known_as
-- Who goes by which other number by now.
select customer_id, min(into_customer_id) from known_as group by customer_id
