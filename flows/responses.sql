-- What a home's store has recorded from one instant to another.

-- name: events
select * from provider_event where received_at > :after and received_at <= :until

-- name: sent
select send_key from outbox
