-- What only the maker of the world knows; it lies beside the exports and is never landed.

-- name: rhythms
select
    p.member_no as customer_id,
    interval_days, wobble, basket_lines, price_level, discount_affinity, discount_uplift,
    weekday + 1 as iso_weekday, weekday_habit, favourite_hour,
    a.name as favourite_category, category_devotion,
    f.article_no as favourite_product_id, product_devotion,
    t.store_no as favourite_store_id, forgets_card,
    day_date(s.joined_day) as joined_on,
    case when leave_day < getvariable('days') then day_date(leave_day) end as churned_at
from shopper as s
inner join person as p using (shopper)
inner join aisle as a on a.category = s.favourite_category
inner join shelf as f on f.slot = s.favourite_slot
inner join store as t on t.store = s.favourite_store
order by customer_id;

-- name: true_households
select member_no as customer_id, 'H' || padded(scrambled(household, 8), 8) as household_id
from person
order by customer_id;

-- name: offers
select member_no as customer_id, day_date(offered_day) as offered_on, is_taken as came_because_of_it
from offer
inner join person using (shopper)
order by customer_id, offered_on;

-- name: trial
select
    member_no as customer_id,
    is_offered,
    anyway,
    case when vexed > 0 then -vexed * anyway else moved * (1 - anyway) end as uplift,
    anyway_next,
    uplift_next
from trial
inner join person using (shopper)
order by customer_id;

-- name: won_prospects
select l.lead_no as prospect_id, p.member_no as customer_id
from lead as l
inner join person as p using (shopper)
order by prospect_id;

-- name: duplicates
select member_no as customer_id, original_no as duplicate_of, kind
from double
order by customer_id;
