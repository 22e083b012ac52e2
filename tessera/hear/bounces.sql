-- Addresses that are not written to because a server said that they are not there. All but the first in DuckDB.

-- name: bounced
select address_hash, cause, since
from suppression
where channel = 'email' and cause in ('bounce', 'invalid') and since >= :since and since < :until

-- name: at_domain
-- Those of one domain, or all: each with its domain, as far as the models know whose address it is.
create temp table at_domain as
with domain as (
    select sha256(lower(trim(email))) as address_hash, min(lower(trim(split_part(email, '@', -1)))) as domain
    from customers
    where email is not null
    group by all
)

select bounced.*, domain.domain
from bounced left join domain on bounced.address_hash = domain.address_hash
where $domain is null or domain.domain = lower($domain)

-- name: addresses
select address_hash, cause from at_domain order by address_hash, cause

-- name: by_domain
select
    left(since, 10) as day, domain, cause, count(*) as addresses, min(since) as first, max(since) as last
from at_domain
group by all
order by day, addresses desc, domain nulls last, cause
