-- name: open
insert into redemption (
    redemption_id, store_id, state, held_until, points, points_back, paid, discount, basket,
    receipt_id, at
) values (
    :redemption_id, :store_id, :state, :held_until, :points, :points_back, :paid, :discount,
    :basket, :receipt_id, :at
)

-- name: known
select 1 from redemption where redemption_id = :redemption_id

-- name: alone
-- PostgreSQL: nobody else counts a member's redemptions meanwhile.
select pg_advisory_xact_lock(hashtext(:customer_id))

-- name: redeemed_since
-- Under any number of theirs.
select count(*)
from redemption_member
inner join redemption on redemption_member.redemption_id = redemption.redemption_id
where
    redemption_member.customer_id in (
        select :customer_id
        union all
        select customer_id from points_merge
        where programme = :programme and into_customer_id = :customer_id
    )
    and redemption.at >= :since
    and (redemption.state = 'used' or (redemption.state = 'held' and redemption.held_until > :at))

-- name: level
select tier from tier_move
where programme = :programme and customer_id = :customer_id
order by business_date desc, position desc
limit 1

-- name: whose
insert into redemption_member (redemption_id, customer_id) values (:redemption_id, :customer_id)

-- name: redemption
select
    redemption_id, state, held_until, points, points_back, paid, discount, basket, receipt_id
from redemption
where redemption_id = :redemption_id and store_id = :store_id
{lock}

-- name: move
update redemption
set
    state = :state, receipt_id = coalesce(:receipt_id, receipt_id),
    points_back = coalesce(:points_back, points_back)
where redemption_id = :redemption_id

-- name: lapsed
select redemption.redemption_id, redemption.points
from redemption_member
inner join redemption on redemption_member.redemption_id = redemption.redemption_id
where
    redemption_member.customer_id = :customer_id
    and redemption.state = 'held' and redemption.held_until <= :at

-- name: lapse
update redemption set state = 'void' where redemption_id = :redemption_id and state = 'held'

-- name: keep
insert into till_request (store_id, idem_key, request_hash, status, answer, at)
values (:store_id, :idem_key, :request_hash, :status, :answer, :at)

-- name: request
select request_hash, status, answer from till_request
where store_id = :store_id and idem_key = :idem_key

-- name: old_requests
select store_id, idem_key from till_request where at < :before limit :most

-- name: forget_request
delete from till_request where store_id = :store_id and idem_key = :idem_key

-- name: wait
insert into till_waiting (store_id, idem_key, body, at) values (:store_id, :idem_key, :body, :at)
on conflict do nothing

-- name: waiting
select store_id, body from till_waiting order by at, store_id, idem_key

-- name: waits
select body from till_waiting where store_id = :store_id and idem_key = :idem_key

-- name: there
select card_id as name from card where card_id in (select value from {names})
union all
select redemption_id from redemption where redemption_id in (select value from {names})

-- name: waited
delete from till_waiting where store_id = :store_id and idem_key = :idem_key
