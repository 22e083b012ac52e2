-- name: code_of
select code from referral_code where customer_id = :customer_id

-- name: whose_code
select customer_id from referral_code where code = :code

-- name: claim
-- One row per friend. Tills without a line post late: the earlier claim counts while it is open.
insert into referral (customer_id, referred_by, device, at)
values (:customer_id, :referred_by, :device, :at)
on conflict (customer_id) do update
set referred_by = excluded.referred_by, device = excluded.device, at = excluded.at
where
    referral.verdict is null
    and (excluded.at < referral.at or referral.referred_by is null)

-- name: claim_signups
-- Who signed up through a friend's link and confirmed the address.
insert into referral (customer_id, referred_by, at)
select customer_id, min(referred_by), min(confirmed_at)
from signup
where referred_by is not null and confirmed_at is not null and customer_id is not null
group by customer_id
on conflict do nothing

-- name: open
select customer_id, referred_by, device, at from referral
where verdict is null and referred_by is not null

-- name: settled
select customer_id, referred_by, device, at from referral
where verdict is not null and referred_by is not null

-- name: devices
select customer_id, referred_by, device, at from referral where device is not null

-- name: merged
select customer_id, into_customer_id from person_merge where is_in_force = 1

-- name: brought
-- By all the names that the member had meanwhile: a card of their own, somebody they were merged with.
select count(*) from referral
where verdict = 'rewarded' and referred_by in (select value from {names})

-- name: close
update referral set verdict = :verdict, receipt_id = :receipt_id, judged_at = :at
where customer_id = :claimed_as and verdict is null

-- name: judge
-- One row per open referral. `why`: null when both are to be rewarded. A prospect who signed up has
-- become a customer, a card that was handed out at a till may have been registered since, and a customer
-- may have been found to be another. Who brings things back need not show a card.
with recursive person as (
    select
        customer_id, household_id, prospect_id, card_id, lower(trim(email)) as email,
        regexp_replace(coalesce(phone, ''), '[^0-9]', '', 'g') as phone,
        timezone($zone, timezone('UTC', joined_at))::date as joined_on
    from customers
),

known_as as (
    select customer_id as name, customer_id from person
    union
    select 'prospect:' || prospect_id, customer_id from person where prospect_id is not null
    union
    select card_id, customer_id from person where card_id is not null
    union
    select customer_id, into_customer_id from referral_merged
),

claims as (
    select * from referral_open union all select * from referral_settled
),

pair as (
    select
        claims.customer_id as claimed_as,
        coalesce(friend.customer_id, claims.customer_id) as customer_id,
        coalesce(referrer.customer_id, claims.referred_by) as referred_by,
        claims.device,
        cast(claims.at as timestamptz) at time zone 'UTC' as at
    from claims
    left join known_as as friend on claims.customer_id = friend.name
    left join known_as as referrer on claims.referred_by = referrer.name
),

-- Whom somebody brought, and those brought, and so on: a ring leads back to where it began.
chain as (
    select claimed_as, customer_id as start, referred_by as upward, 1 as steps from pair
    union
    select chain.claimed_as, chain.start, pair.referred_by, chain.steps + 1
    from chain
    inner join pair on chain.upward = pair.customer_id
    where chain.steps < 50 and chain.upward <> chain.start
),

ring as (
    select distinct claimed_as from chain where upward = start
),

receipt as (
    select
        min(customer_id) filter (where kind = 'sale') as customer_id,
        coalesce(original_transaction_id, transaction_id) as receipt_id,
        min(sold_at) filter (where kind = 'sale') as sold_at,
        sum(amount) filter (where $currency in ('any', currency)) as kept
    from transactions
    where sold_at < $as_of
    group by coalesce(original_transaction_id, transaction_id)
),

-- The first purchase of enough, in the programme's currency, that was kept, once its time to bring it back
-- is over.
first_kept as (
    select
        customer_id,
        min(sold_at) as first_at,
        arg_min(receipt_id, sold_at) filter (where kept > 0 and kept >= $least and sold_at < $kept_until)
            as receipt_id,
        min(sold_at) filter (where kept > 0 and kept >= $least and sold_at < $kept_until) as kept_at
    from receipt
    where customer_id is not null
    group by customer_id
)

select
    pair.claimed_as,
    pair.customer_id,
    pair.referred_by,
    friend.joined_on as friend_joined_on,
    referrer.joined_on as referrer_joined_on,
    first_kept.receipt_id,
    (select list(name) from known_as where known_as.customer_id = pair.referred_by) as referrer_names,
    case
        when pair.customer_id = pair.referred_by then 'self'
        when referrer.customer_id is null then 'unknown_referrer'
        when
            first_kept.first_at < pair.at - interval 1 day
            or exists (
                select 1 from pair as earlier
                where
                    earlier.customer_id = pair.customer_id
                    and (earlier.at, earlier.claimed_as) < (pair.at, pair.claimed_as)
            ) then 'customer_already'
        when friend.card_id = referrer.card_id then 'same_card'
        when friend.household_id = referrer.household_id then 'same_household'
        when friend.email = referrer.email or nullif(friend.phone, '') = referrer.phone
            then 'same_address'
        when pair.device is not null and exists (
            select 1 from referral_devices as other
            left join known_as on other.customer_id = known_as.name
            where
                other.device = pair.device and other.customer_id <> pair.claimed_as
                and (
                    coalesce(known_as.customer_id, other.customer_id) = pair.referred_by
                    or other.referred_by = pair.referred_by
                )
        ) then 'same_device'
        when ring.claimed_as is not null then 'ring'
        when first_kept.receipt_id is null then 'waiting'
    end as why
from referral_open
inner join pair on referral_open.customer_id = pair.claimed_as
left join person as friend on pair.customer_id = friend.customer_id
left join person as referrer on pair.referred_by = referrer.customer_id
left join first_kept on pair.customer_id = first_kept.customer_id
left join ring on pair.claimed_as = ring.claimed_as
order by pair.at, pair.claimed_as
