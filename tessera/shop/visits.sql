-- Who comes when: macros over any span of days, for nobody's past is needed to make anybody's present.

-- name: is_sunday
create macro is_sunday(day) as (day + getvariable('start_weekday')) % 7 = 6;

-- name: next_open_day
-- On Sundays only the web shop is open.
create macro next_open_day(day, store) as day + (is_sunday(day) and store > 0)::integer;

-- name: card_on
-- A member's live card on `day`: the first, its replacement, or none after a loss.
create macro card_on(day, lost_day, is_replaced, card_1, card_2) as
    case when lost_day is null or day <= lost_day then card_1 when is_replaced then card_2 end;

-- name: offer
-- Who was posted a coupon, by lot, in which round of thirty days, and whom it moved to come: the
-- difference between the posted and the others is what the coupon did.
create view offer as
select
    shopper,
    round,
    (round * 30)::integer as offered_day,
    chance('taken', shopper * 1000 + round) < discount_uplift as is_taken
from shopper, unnest(range((getvariable('days') + 29) // 30)) t (round)
where is_member and chance('offered', shopper * 1000 + round) < 0.1
    and first_day <= round * 30 and last_day > round * 30;

-- name: is_trial_day
-- Whether `day` lies in the fortnight in which the coupon on trial was good.
create macro is_trial_day(day) as
    getvariable('trial_day') >= 0
    and day > getvariable('trial_day') and day <= getvariable('trial_day') + 14;

-- name: likely
-- The chance of a regular visit in the fortnight after `day`: each tick of the clock falls evenly into its
-- own stretch of days, and is kept with the chance `comes`.
create macro likely(interval_days, phase, wobble, comes, day) as 1 - exp(list_sum(list_transform(
    range(
        floor((day + 1) / interval_days - phase - wobble / 2)::bigint,
        ceil((day + 15) / interval_days - phase + wobble / 2)::bigint + 1
    ),
    lambda n: ln(1 - comes * greatest(
        least(interval_days * (n + phase + wobble / 2), day + 15)
        - greatest(interval_days * (n + phase - wobble / 2), day + 1),
        0
    ) / (interval_days * wobble))
)));

-- name: comes
-- The chance that a tick becomes a visit that shows the card, by the season's share of it.
create macro comes(day, forgets_card) as [
    1.05, 1.0, 1.05, 1.15, 1.1, 1.05, 1.0, 0.85, 1.1, 1.15, 1.2, 1.5
][month(day_date(day + 7))] / 1.5 * (1 - forgets_card);

-- name: trial
-- Half of the members of two months or longer got the coupon on trial, by lot. Who buys cheaply is moved
-- by it, who buys dear takes it for a nuisance: `moved` is the chance of one visit more, `vexed` the
-- chance of staying away for the fortnight; `anyway` is the chance of a regular visit in it, and
-- `anyway_next` in the fortnight after the shop's last day. Who has left does nothing.
create view trial as
with here as (
    select
        *,
        getvariable('trial_day') as trial_day,
        chance('trial arm', shopper) < 0.5 as is_offered,
        (last_day >= trial_day + 14)::integer as was_here,
        (leave_day >= getvariable('days'))::integer as is_here
    from shopper
    where is_member and getvariable('trial_day') >= 0 and first_day <= getvariable('trial_day') - 60
)
select
    shopper,
    is_offered,
    least(greatest(8 * (0.48 - price_level) + 0.03 * bell('trial', shopper), 0), 0.75) as pull,
    least(greatest(3 * (price_level - 0.6), 0), 0.4) as push,
    was_here * pull as moved,
    was_here * push as vexed,
    was_here * likely(interval_days, phase, wobble, comes(trial_day, forgets_card), trial_day) as anyway,
    is_here * likely(
        interval_days, phase, wobble, comes(getvariable('days'), forgets_card), getvariable('days') - 1
    ) as anyway_next,
    is_here * (pull * (1 - anyway_next) - push * anyway_next) as uplift_next
from here;

-- name: calls
-- Visits that happen in [from_day, to_day). The n-th visit of a shopper comes around the n-th tick of
-- their own clock, off by their wobble; habit then moves it to their weekday. Visits of kind 1 are the
-- ones that an offer by post brought about, and nothing else.
create macro calls(from_day, to_day) as table
with ticks as (
    select
        *,
        unnest(range(
            floor((from_day - 4) / interval_days - phase - wobble / 2)::bigint,
            ceil((to_day + 4) / interval_days - phase + wobble / 2)::bigint + 1
        )) as n
    from shopper
    where first_day < to_day and last_day > from_day
), numbered as (
    select *, ((n + 64) * 2)::bigint * getvariable('shoppers') + shopper as call from ticks
), meant as (
    select
        *,
        floor(interval_days * (n + phase + (chance('wobble', call) - 0.5) * wobble))::integer
            as meant_day
    from numbered
), by_habit as (
    select
        *,
        case
            when chance('habit', call) < weekday_habit
                then meant_day + (weekday - (meant_day + getvariable('start_weekday')) % 7 + 17) % 7 - 3
            else meant_day
        end::integer as moved_day,
        case
            when chance('store', call) < 0.85 then favourite_store
            when chance('store', call) < 0.95 then 0
            else second_store
        end as store
    from meant
), regular as (
    select
        call,
        shopper,
        store,
        first_day,
        last_day,
        moved_day - (is_sunday(moved_day) and store > 0)::integer as day
    from by_habit
    where meant_day >= -3
), moved as (
    select
        (round * 2 + 1)::bigint * getvariable('shoppers') + shopper as call,
        shopper,
        next_open_day(
            offered_day + 1 + pick('answer', shopper * 1000 + round, 14)::integer, favourite_store
        ) as day,
        favourite_store as store,
        last_day
    from offer
    inner join shopper using (shopper)
    where is_taken and offered_day < to_day and offered_day + 16 > from_day
)
select call, shopper, day, store, false as is_offer
from regular
where day >= from_day and day < to_day and day >= first_day and day < last_day
    and not (
        is_trial_day(day) and shopper in (
            select shopper from trial where is_offered and chance('vexed', shopper) < vexed
        )
    )
    and chance('season', call) * 1.5 < ([
        1.05, 1.0, 1.05, 1.15, 1.1, 1.05, 1.0, 0.85, 1.1, 1.15, 1.2, 1.5
    ])[month(day_date(day))]
union all
select call, shopper, day, store, true
from moved
where day >= from_day and day < to_day and day < last_day
union all
select 4001::bigint * getvariable('shoppers') + shopper, shopper, day, favourite_store, false
from (
    select
        *,
        next_open_day(
            getvariable('trial_day') + 1 + pick('trial answer', shopper, 13)::integer, favourite_store
        ) as day
    from trial
    inner join shopper using (shopper)
    where is_offered and chance('trial taken', shopper) < moved
)
where day >= from_day and day < to_day;
