-- name: code_of
select code from referral_code where customer_id = :customer_id

-- name: whose_code
select customer_id from referral_code where code = :code

-- name: claim
-- One row per friend: the earliest who named a code brought them, in whatever order tills without a line
-- tell it; who told the device only brought nobody.
insert into referral (customer_id, referred_by, device, at)
values (:customer_id, :referred_by, :device, :at)
on conflict (customer_id) do update
set
    referred_by = case when {is_first} then excluded.referred_by else referral.referred_by end,
    at = case when {is_first} then excluded.at else referral.at end,
    device = case
        when referral.device is null or excluded.device < referral.device then excluded.device
        else referral.device
    end
where referral.verdict is null

-- name: is_first
excluded.referred_by is not null
and (
    referral.referred_by is null
    or (excluded.at, excluded.referred_by) < (referral.at, referral.referred_by)
)

-- name: claim_signups
-- Who signed up through a friend's link and confirmed the address; of several links the first.
insert into referral (customer_id, referred_by, at)
select customer_id, referred_by, confirmed_at
from (
    select
        customer_id, referred_by, confirmed_at,
        row_number() over (partition by customer_id order by confirmed_at, referred_by) as place
    from signup
    where referred_by is not null and confirmed_at is not null and customer_id is not null
) as told
where place = 1
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
-- may have been found to be another. Who brings things back need not show a card. A telephone's number is its
-- last eight digits, an address its mailbox without what follows a plus: the rest is written in many ways.
with recursive person as (
    select
        customer_id, household_id, card_id,
        nullif(regexp_replace(lower(trim(email)), '\+[^@]*@', '@'), '') as email,
        nullif(right(regexp_replace(phone, '[^0-9]', '', 'g'), 8), '') as phone,
        timezone($zone, timezone('UTC', joined_at))::date as joined_on
    from customers
),

called as (
    select customer_id as name, customer_id from person
    union
    select customer_id, into_customer_id from known_as
    union
    select card_id, customer_id from model_card
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
    left join called as friend on claims.customer_id = friend.name
    left join called as referrer on claims.referred_by = referrer.name
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

said as (
    select
        told.device,
        coalesce(own.customer_id, told.customer_id) as customer_id,
        coalesce(referrer.customer_id, told.referred_by) as referred_by
    from referral_devices as told
    left join called as own on told.customer_id = own.name
    left join called as referrer on told.referred_by = referrer.name
),

-- Of all receipts ever only those of friends who wait.
theirs as (
    select coalesce(original_transaction_id, transaction_id) as receipt_id
    from transactions
    where
        kind = 'sale'
        and customer_id in (
            select customer_id from pair
            where claimed_as in (select referral_open.customer_id from referral_open)
        )
),

receipt as (
    select
        min(customer_id) filter (where kind = 'sale') as customer_id,
        coalesce(original_transaction_id, transaction_id) as receipt_id,
        min(sold_at) filter (where kind = 'sale') as sold_at,
        sum(amount) filter (where $currency in ('any', currency)) as kept
    from transactions
    where
        sold_at < $as_of
        and coalesce(original_transaction_id, transaction_id) in (select receipt_id from theirs)
    group by coalesce(original_transaction_id, transaction_id)
),

-- The first purchase of enough, in the programme's currency, that was kept, once its time to bring it back
-- is over.
first_kept as (
    select
        customer_id,
        min(sold_at) as first_at,
        arg_min(receipt_id, sold_at) filter (where kept > 0 and kept >= $least and sold_at < $kept_until)
            as receipt_id
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
    (select list(name) from called where called.customer_id = pair.referred_by) as referrer_names,
    case
        when pair.customer_id = pair.referred_by then 'self'
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
        when friend.email = referrer.email or friend.phone = referrer.phone then 'same_address'
        when exists (
            select 1 from said
            where
                said.device = pair.device and said.customer_id <> pair.customer_id
                and pair.referred_by in (said.customer_id, said.referred_by)
        ) then 'same_device'
        when ring.claimed_as is not null then 'ring'
        when first_kept.receipt_id is null then 'waiting'
        when referrer.customer_id is null then 'unknown_referrer'
    end as why
from referral_open
inner join pair on referral_open.customer_id = pair.claimed_as
left join person as friend on pair.customer_id = friend.customer_id
left join person as referrer on pair.referred_by = referrer.customer_id
left join first_kept on pair.customer_id = first_kept.customer_id
left join ring on pair.claimed_as = ring.claimed_as
order by pair.at, pair.claimed_as
