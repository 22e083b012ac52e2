-- name: suppressions
select address_hash, scope from suppression
where channel = 'email' and address_hash in ({keys})

-- name: words
-- The live word of customers on what they want, from unsubscribe links and provider events.
select customer_id, purpose, granted, recorded_at from consent
where channel = 'email' and customer_id in ({keys})

-- name: mart_words
select
    customer_id,
    purpose,
    granted::int as granted,
    strftime(recorded_at, '%Y-%m-%dT%H:%M:%S+00:00') as recorded_at
from consents
where channel = 'email' and customer_id in (select unnest($ids))
