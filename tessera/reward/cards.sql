-- name: card
select customer_id, replaced_by_card_id, is_blocked from card where card_id = :card_id

-- name: member
select given_name, tier from member where customer_id = :customer_id

-- name: add
insert into card (card_id, customer_id, origin, changed_at, noted_at)
values (:card_id, :customer_id, 'till', :at, :noted_at)
on conflict do nothing

-- name: adopt
-- A card that was used before it was heard of that it was handed out.
update card set customer_id = :customer_id, origin = 'till', changed_at = :at, noted_at = :noted_at
where card_id = :card_id and customer_id = :card_id and origin = 'models'

-- name: add_member
insert into member (customer_id) values (:customer_id) on conflict do nothing

-- name: replace
-- Once only, but without a line, where the later counts.
update card set
    replaced_by_card_id = :new_card, changed_at = :at, noted_at = :noted_at, origin = 'till'
where
    card_id = :card_id
    and (
        replaced_by_card_id is null
        or (:is_offline = 1 and (changed_at, replaced_by_card_id) < (:at, :new_card))
    )

-- name: change_card
-- When it was changed stays: what the models know need not be told them, and is no till's word.
update card set customer_id = :customer_id, is_blocked = :is_blocked where card_id = :card_id

-- name: change_member
update member set given_name = :given_name, tier = :tier, household_id = :household_id
where customer_id = :customer_id

-- name: known_cards
select card_id, customer_id, origin, is_blocked from card

-- name: known_members
select customer_id, given_name, tier, household_id from member

-- name: without_code
select member.customer_id
from member
left join referral_code on member.customer_id = referral_code.customer_id
where referral_code.customer_id is null

-- name: became
-- Prospects who are customers by now. Who was merged may be parted again: what was theirs stays so.
select customer_id, into_customer_id from known_as where customer_id like 'prospect:%'

-- name: rename_prospects
update voucher set customer_id = person.value
from {people} as person
where voucher.customer_id = person.key

-- name: models
-- Models of an earlier version did not say which cards are good.
create or replace temp view model_card as
select card_id, customer_id, is_last, blocked_at
from (
    from card_owners
    union all by name
    select null::boolean as is_last, null::timestamp as blocked_at where false
)
union
select card_id, customer_id, true as is_last, null as blocked_at from customers
where card_id is not null

-- name: live_cards
create or replace temp view model_card as
select card_id, customer_id, true as is_last, null::timestamp as blocked_at from customers
where card_id is not null

-- name: new_cards
-- A card whose owner the models know otherwise by now: it was registered, or two people merged; or which
-- was blocked, or is good again.
select
    model.card_id, model.customer_id, coalesce(known.origin, 'models') as origin,
    model.is_blocked
from (
    select
        card_id, max(customer_id) as customer_id,
        coalesce(bool_or(not is_last or blocked_at <= $as_of), false)::bigint as is_blocked
    from model_card
    group by card_id
) as model
left join known_card as known on model.card_id = known.card_id
where
    known.customer_id is distinct from model.customer_id
    or known.is_blocked <> model.is_blocked
order by model.card_id

-- name: registered
-- Cards that were their own customers until now.
select model.card_id as was, max(model.customer_id) as customer_id
from model_card as model
inner join known_card as known on model.card_id = known.card_id
where
    known.customer_id = known.card_id
    and known.card_id not in (select customer_id from customers)  -- who had a card of their own number
group by model.card_id
having max(model.customer_id) <> model.card_id

-- name: handed_on
-- Cards that were somebody else's when the tills were last told, merged members being one.
select model.card_id
from (
    select card_id, max(customer_id) as customer_id from model_card group by card_id
) as model
inner join known_card as known on model.card_id = known.card_id
left join followed on known.customer_id = followed.customer_id
where coalesce(followed.into_customer_id, known.customer_id) <> model.customer_id

-- name: followed
select customer_id, into_customer_id from points_merge where programme = :programme

-- name: rename_spent
update redemption_member set customer_id = :customer_id where customer_id = :was

-- name: rename_friend
update referral set customer_id = :customer_id
where
    customer_id = :was
    and not exists (
        select 1 from referral as known where known.customer_id = :customer_id
    )

-- name: rename_referrer
update referral set referred_by = :customer_id where referred_by = :was

-- name: rename_voucher
update voucher set customer_id = :customer_id where customer_id = :was

-- name: rename_code
-- A code that was passed on stays good. Where its owner had one before, it goes on under the card's name,
-- which friends are settled by as well.
update referral_code set customer_id = :customer_id
where
    customer_id = :was
    and not exists (
        select 1 from referral_code as known where known.customer_id = :customer_id
    )

-- name: forget_member
delete from member where customer_id = :was

-- name: new_members
select customers.customer_id, customers.given_name, customers.tier, customers.household_id
from customers
left join known_member as known on customers.customer_id = known.customer_id
where
    customers.card_id is not null
    and (
        known.customer_id is null
        or known.given_name is distinct from customers.given_name
        or known.tier is distinct from customers.tier
        or known.household_id is distinct from customers.household_id
    )
order by customers.customer_id
