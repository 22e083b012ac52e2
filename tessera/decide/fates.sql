-- What became of the messages of one customer.

-- name: messages
select send_key, state, state_at, state_reason
from outbox
where customer_id = :customer

-- name: events
select provider_event.send_key, provider_event.event, min(provider_event.occurred_at) as at
from provider_event
inner join outbox on provider_event.send_key = outbox.send_key
where outbox.customer_id = :customer
group by provider_event.send_key, provider_event.event
order by at
