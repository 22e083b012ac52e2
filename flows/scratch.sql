-- What a scratch home takes over from the store of the home itself, and whom it makes reachable.

-- name: landed
select feed, file_id from landed_file where source <> :engine and verdict is null

-- name: judged
select feed, file_id from landed_file where source <> :engine and verdict = 'accepted'

-- name: landed_file
select * from landed_file where source <> :engine

-- name: readmission
select * from readmission

-- name: words
select * from {table} where {told_at} > :after and {told_at} <= :until

-- name: add
insert into {table} ({columns}) values ({marks}) on conflict do nothing

-- name: outbox
-- What was never sent will not be sent now: it is of a day that is over.
select * from outbox where business_date < :day and state not in ('ready', 'leased', 'calling')

-- name: provider_event
select provider_event.*
from provider_event
inner join outbox on provider_event.send_key = outbox.send_key
where
    provider_event.received_at <= :start
    and outbox.business_date < :day
    and outbox.state not in ('ready', 'leased', 'calling')

-- name: campaign_version
select * from campaign_version where first_used_at < :start

-- name: domain_day
select * from domain_day where day < :day

-- name: person_merge
select * from person_merge

-- name: tier_move
-- Who has reached a tier does not reach it again on the first day.
select * from tier_move where business_date < :day

-- name: voucher_terms
select * from voucher_terms

-- name: voucher
-- Codes that were made to be given away, and those that a message brought.
select * from voucher
where
    batch is not null
    or code in (
        select reward_grant.code
        from reward_grant
        inner join outbox on reward_grant.send_key = outbox.send_key
        where outbox.business_date < :day and outbox.state not in ('ready', 'leased', 'calling')
    )

-- name: reward_grant
select reward_grant.*
from reward_grant
inner join outbox on reward_grant.send_key = outbox.send_key
where outbox.business_date < :day and outbox.state not in ('ready', 'leased', 'calling')

-- name: redemption
-- Who has used a code by then.
select * from redemption
where at < :start and redemption_id in (select redemption_id from voucher_use)

-- name: redemption_member
select redemption_member.*
from redemption_member
inner join redemption on redemption_member.redemption_id = redemption.redemption_id
where
    redemption.at < :start
    and redemption.redemption_id in (select redemption_id from voucher_use)

-- name: voucher_use
select voucher_use.*
from voucher_use
inner join redemption on voucher_use.redemption_id = redemption.redemption_id
where redemption.at < :start

-- name: reachable_customers
-- Who has no address gets one; who has none and is not registered joins with the first purchase.
with receipts as (
    select customer_id, min(sold_at) as first_sold_at
    from transactions
    where customer_id is not null
    group by customer_id
)

select
    customers.customer_id,
    customers.household_id,
    customers.given_name,
    customers.family_name,
    'c' || left(md5(customers.customer_id), 16) || '@customers.example' as email,
    customers.phone,
    customers.birth_date,
    customers.language,
    customers.timezone,
    customers.country,
    customers.home_store_id,
    customers.acquisition_source,
    coalesce(customers.joined_at, receipts.first_sold_at) as joined_at
from customers
left join receipts on customers.customer_id = receipts.customer_id
where customers.email is null
order by customers.customer_id

-- name: reachable_consents
select
    customer_id,
    'email' as channel,
    'marketing' as purpose,
    true as granted,
    getvariable('start') - to_days(1) as recorded_at,
    'assumed' as origin
from customers
where
    customer_id not in (
        select customer_id from consents where channel = 'email' and purpose = 'marketing'
    )
order by customer_id

-- name: reachable_people
select count(*)
from customers
where
    email is null
    or customer_id not in (
        select customer_id from consents where channel = 'email' and purpose = 'marketing'
    )
