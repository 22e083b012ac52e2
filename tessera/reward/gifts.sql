-- Gifts; `marked` is DuckDB, over the published customers, the others run on the store.

-- name: given
select idem_key from transfer
where programme = :programme and idem_key in (select value from {keys})

-- name: kin
select customer_id, into_customer_id from points_merge where programme = :programme
union
select customer_id, into_customer_id from person_merge where is_in_force = 1

-- name: marked
-- A day is marked if it lies within the last fortnight. A key tells nobody's name; the gift is not due where
-- it was given under any of `keys`, those of all numbers that the member had.
with day as (
    select day::date as day
    from generate_series($today::date - interval 13 days, $today::date, interval 1 day) as span (day)
),

person as (
    select
        customer_id,
        birth_date,
        timezone($zone, timezone('UTC', joined_at))::date as joined_on
    from customers
    where prospect_id is null and card_id is not null
),

marked as (
    select
        person.customer_id, person.joined_on, gift.gift, gift.version, gift.points, day.day,
        concat(':', year(day.day)) as which
    from gift
    inner join day on gift.to_mark = 'birthday'
    inner join person
        on
            strftime(day.day, '%m-%d') = case
                when
                    month(person.birth_date) = 2 and day(person.birth_date) = 29
                    and day(last_day(make_date(year(day.day), 2, 1))) = 28
                    then $leap_day
                else strftime(person.birth_date, '%m-%d')
            end
    union all
    select
        person.customer_id, person.joined_on, gift.gift, gift.version, gift.points, day.day, ''
    from gift
    inner join day on gift.to_mark = 'joining'
    inner join person on person.joined_on = day.day
),

who as (
    select customer_id, customer_id as as_whom from person
    union all
    select into_customer_id, customer_id from kin
)

select
    marked.* exclude (which),
    concat('gift:', gift, ':', left(sha256(marked.customer_id), 16), which) as idem_key,
    list(concat('gift:', gift, ':', left(sha256(who.as_whom), 16), which)) as keys
from marked
inner join who using (customer_id)
where
    (select bool_and((since is null or day >= since) and (until is null or day <= until))
        from gift where gift.gift = marked.gift)
group by all
order by idem_key
