-- name: message
select send_key, customer_id, channel, language, purpose, campaign, send_at
from outbox
where send_key = :send_key

-- name: answer
-- The last one to this message's question.
select customer_id, score, comment from answer
where send_key = :send_key
order by answer_id desc
limit 1

-- name: add_answer
insert into answer (send_key, customer_id, score, comment, answered_at)
values (:send_key, :customer_id, :score, :comment, :at)

-- name: claim_alerts
-- The answers of today and the days before that nobody was written to about; from now on somebody is.
insert into answer_alert (send_key, alerted_at)
select answer.send_key, :at
from answer
where
    answer.score < :below and answer.answered_at > :since
    and not exists (
        select 1 from answer as later
        where later.send_key = answer.send_key and later.answer_id > answer.answer_id
    )
on conflict do nothing
returning send_key

-- name: unclaim_alert
delete from answer_alert where send_key = :send_key

-- name: given_name
select given_name from member where customer_id = :customer_id

-- name: invited
select count(*) from signup where address_hash = :address_hash and referred_by = :referred_by

-- name: asked
select count(*) from signup where address_hash = :address_hash and asked_at > :since

-- name: add_signup
insert into signup
    (signup_id, email, address_hash, given_name, language, wording_version, referred_by, asked_at)
values
    (
        :signup_id, :email, :address_hash, :given_name, :language, :wording_version, :referred_by,
        :asked_at
    )

-- name: signup
select * from signup where signup_id = :signup_id

-- name: confirmed
select customer_id from signup
where address_hash = :address_hash and confirmed_at is not null
order by confirmed_at, signup_id
limit 1

-- name: confirm
update signup set confirmed_at = :at, customer_id = :customer_id
where signup_id = :signup_id and confirmed_at is null

-- name: forget_signup
delete from signup where signup_id = :signup_id and confirmed_at is null

-- name: customers_with
select customer_id from customers where lower(trim(email)) = $address order by customer_id

-- name: address_of
select email from customers where customer_id = $customer_id

-- name: reader
select known.customer_id, customers.email
from (
    select coalesce(min(into_customer_id), $customer_id) as customer_id
    from known_as where customer_id = $customer_id
) as known
left join customers on known.customer_id = customers.customer_id
