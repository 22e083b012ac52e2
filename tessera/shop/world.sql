-- The shop itself: branches, shelves and the people who come. One table each, made once.

-- name: store
-- One row per branch; the web shop is number 0.
create table store as
with numbered as (
    select
        i as store,
        b.*,
        row_number() over (partition by country, i > 0 order by i) as nth,
        row_number() over (partition by city order by i) as nth_in_city
    from range(getvariable('stores')) t (i)
    inner join branch as b
        on b.position = case when i = 0 then 0 else 1 + (i - 1) % (select count(*) - 1 from branch) end
)
select
    store::integer as store,
    case when store = 0 then 'WEB' else country || padded(nth, 3) end as store_no,
    case when nth_in_city = 1 then city else city || ' ' || nth_in_city end as name,
    case when store > 0 then city end as city,
    country,
    timezone,
    day_date(-400 - pick('opened', store, 6000)) as opened_on
from numbered
order by store;

-- name: product
-- One row per article, cheapest first within its category; `facings` is how much shelf it has.
create table product as
with drawn as (
    select
        i as product,
        g.*,
        l.brands,
        l.varieties,
        low + (high - low) * power(chance('price', i), 1.5) as wished,
        1 + floor(30 * power(chance('facings', i), 4))::integer as facings
    from range(getvariable('products')) t (i)
    inner join article_group as g on g.position = i % (select count(*) from article_group)
    cross join lexicon as l
)
select
    product::integer as product,
    (10000000 + scrambled(product, 7))::integer as article_no,
    one_of('brand', product, brands) || ' ' || one_of('variety', product, varieties) || ' '
    || name
    || case when weighed then ', loose' else ' ' || (100 * (1 + pick('size', product, 12))) || ' g' end
        as description,
    category,
    name as product_group,
    one_of('brand', product, brands) as brand,
    (floor(wished / 10) * 10 + 9)::integer as price,
    (floor(wished / 10) * (margin + pick('margin', product, 11) - 5) / 10)::integer as unit_margin,
    weighed,
    facings
from drawn
order by category, price, product;

-- name: shelf
-- One row per facing. A category's facings lie side by side from cheap to dear, so that a place
-- on the shelf says both how dear and how popular an article is.
create table shelf as
select
    (row_number() over (order by category, price, product, facing) - 1)::integer as slot,
    product,
    article_no,
    category,
    price,
    weighed
from product, unnest(range(facings)) t (facing)
order by slot;

-- name: aisle
-- One row per category: where its shelf begins and how long it is.
create table aisle as
select
    c.position as category,
    c.name,
    c.demand,
    min(s.slot)::integer as first_slot,
    count(*)::integer as slots
from shelf as s
inner join category as c on c.name = s.category
group by all
order by category;

-- name: wish
-- A thousand wishes a month: the category somebody without a favourite reaches for.
create table wish as
with shares as (
    select
        first_slot,
        slots,
        month,
        sum(demand[month]) over (partition by month order by category) as upto,
        sum(demand[month]) over (partition by month) as total
    from aisle, unnest(range(1, 13)) t (month)
)
select
    month::integer as month,
    wish::integer as wish,
    arg_min(first_slot, upto) as first_slot,
    arg_min(slots, upto) as slots
from shares
inner join range(1000) w (wish) on wish * total < upto * 1000
group by month, wish
order by month, wish;

-- name: resident
-- One row per person who buys: the members first, then the walk-ins, who have no card.
-- Four neighbours make one to four households.
create table resident as
with neighbours as (
    select
        i as shopper,
        i < getvariable('customers') as is_member,
        one_of('neighbours', i // 4, [
            'abcd', 'abcd', 'abcd', 'abcd', 'aabc', 'abbc', 'abcc', 'aabb', 'aaab', 'aaaa'
        ]) as pattern
    from range(getvariable('customers') + getvariable('walk_ins')) t (i)
), housed as (
    select
        shopper,
        is_member,
        case
            when is_member then (shopper // 4) * 4 + ascii(pattern[shopper % 4 + 1]) - 97
            else shopper
        end as household
    from neighbours
), addresses as (
    select row_number() over (order by p.position, r) - 1 as slot, p.position
    from place as p, unnest(range(weight)) t (r)
), branches as (
    select country, list(store order by store) as stores from store where store > 0 group by country
), placed as (
    select h.*, p.position as place, coalesce(b.stores, [0]) as stores
    from housed as h
    inner join addresses as a on a.slot = pick('address', household, (select count(*) from addresses))
    inner join place as p on p.position = a.position
    left join branches as b on b.country = p.country
)
select
    shopper,
    is_member,
    household,
    place::integer as place,
    one_of('branch', household, stores)::integer as home_store,
    one_of('other branch', household, stores)::integer as second_store,
    case
        when not is_member then -1
        when chance('veteran', shopper) < 0.62 then -1 - pick('joined', shopper, 1825)
        else pick('joined', shopper, getvariable('days'))
    end::integer as joined_day,
    case
        when is_member and chance('lost', shopper) < 0.09
            then greatest(joined_day, 0) + 1 + pick('lost day', shopper, getvariable('days'))
    end::integer as lost_day,
    chance('replaced', shopper) < 0.9 as is_replaced
from placed
order by shopper;

-- name: shopper
-- One row per person who buys: the true rhythm and taste behind every receipt. Days count from the
-- shop's first; the last day is exclusive.
create table shopper as
with tastes as (
    select
        r.*,
        greatest(joined_day + 1, 0) as first_day,
        least(greatest(exp(3.0 + 0.8 * bell('interval', shopper)), 2), 240)
            * (case when is_member then 1 else 2 end) as interval_days,
        chance('phase', shopper) as phase,
        0.2 + 4 * power(chance('wobble', shopper), 2) as wobble,
        1 + least(exp(0.95 + 0.45 * bell('basket', shopper)), 12) as basket_lines,
        0.5 + 0.22 * bell('level', household) + 0.1 * bell('own level', shopper) as wished_level,
        least(greatest(wished_level, 0), 0.999) as price_level,
        power(chance('bargains', shopper), 2) as discount_affinity,
        0.2 + 0.6 * chance('habit', shopper) as weekday_habit,
        one_of('weekday', shopper, [0, 1, 2, 3, 4, 4, 5, 5, 6])::integer as weekday,
        one_of('daypart', shopper, [8, 11, 11, 14, 17, 17, 17])::integer as favourite_hour,
        0.15 + 0.35 * chance('devotion', shopper) as category_devotion,
        0.05 + 0.2 * chance('article', shopper) as product_devotion,
        pick('favourite', shopper, (select count(*) from aisle))::integer as favourite_category,
        case when chance('lazy', shopper) < 0.06 then 0 else home_store end as favourite_store,
        case when is_member then 0.02 + 0.1 * chance('forgets', shopper) else 1 end as forgets_card
    from resident as r
), loyal as (
    select
        *,
        least(greatest(0.3 * discount_affinity + 0.04 * bell('uplift', shopper), 0), 0.4)
            as discount_uplift,
        300 + 1500 * chance('loyalty', shopper) as stays_days,
        first_day + floor(-ln(1 - chance('leaves', shopper)) * stays_days)::integer as leave_day
    from tastes
)
select
    l.*,
    least(leave_day, getvariable('days'))::integer as last_day,
    a.first_slot,
    a.slots,
    (a.first_slot + floor(
        a.slots * least(price_level * 0.8 + 0.2 * chance('favourite article', shopper), 0.999)
    ))::integer as favourite_slot
from loyal as l
inner join aisle as a on a.category = l.favourite_category
order by shopper;

-- name: person
-- One row per member: who the customer is on paper.
create table person as
with named as (
    select
        r.*,
        p.city,
        p.country,
        p.timezone,
        p.tag,
        p.calling_code,
        g.language,
        one_of('given name', shopper, case when is_woman then women else men end) as given_name,
        string_split(one_of('family name', household, families), '|') as family,
        l.*,
        case when chance('shared mailbox', household) < 0.05 then household else shopper end as mailbox
    from (select *, chance('woman', shopper) < 0.53 as is_woman from resident where is_member) as r
    inner join place as p on p.position = r.place
    inner join language as g on g.language = p.language
    cross join lexicon as l
)
select
    shopper,
    household,
    place,
    language,
    'C' || padded(scrambled(shopper, 8), 8) as member_no,
    given_name,
    case when is_woman then family[-1] else family[1] end as family_name,
    case
        when chance('no email', mailbox) > 0.04 then
            one_of('mood', mailbox, moods) || '.' || one_of('animal', mailbox, animals) || '.'
            || scrambled(mailbox, 8) || '@' || one_of('domain', mailbox, domains)
    end as email,
    -- No number in the world goes on with three noughts.
    case
        when chance('no mobile', shopper) > 0.2
            then '+' || calling_code || '000' || padded(scrambled(shopper, 8), 8)
    end as mobile,
    case
        when shopper % 250 = 7 then make_date(1952 + 4 * pick('leap year', shopper, 13), 2, 29)
        when chance('no birthday', shopper) > 0.12
            then date '1938-01-01' + pick('birthday', shopper, 24800)::integer
    end as birth_date,
    tag,
    timezone,
    country,
    city,
    padded(10000 + pick('postcode', household, 89999), 5) as postal_code,
    home_store,
    joined_day,
    at_time('joined', shopper, joined_day, 8, 13) as joined_at,
    2900000000000 + scrambled(shopper * 2, 9) as card_1,
    2900000000000 + scrambled(shopper * 2 + 1, 9) as card_2,
    lost_day,
    is_replaced
from named
order by shopper;

-- name: mistyped
-- With a letter left out, written twice, or changed for the next one.
create macro mistyped(id, word) as (
    with slip as (select 1 + pick('slip', id, greatest(len(word) - 2, 1)) as cut)
    select case pick('kind of slip', id, 3)
        when 0 then word[:cut] || word[cut + 2:]
        when 1 then word[:cut + 1] || word[cut + 1:]
        else word[:cut] || word[cut + 2] || word[cut + 1] || word[cut + 3:]
    end
    from slip
);

-- name: rewritten
-- A telephone number as somebody else would write it.
create macro rewritten(id, number) as
    case pick('telephone style', id, 4)
        when 0 then number
        when 1 then '00' || number[2:]
        when 2 then number[:-12] || ' (' || number[-11:-9] || ') ' || number[-8:-5] || '-' || number[-4:]
        else '0' || number[-11:]
    end;

-- name: double
-- One row per member who registered once more, and what was different then. They show either card.
create table double as
with twice as (
    select
        p.*,
        getvariable('shoppers') + shopper as again,
        greatest(joined_day, 0)
        + pick('again on', shopper, getvariable('days') - greatest(joined_day, 0)) as again_day,
        chance('woman', shopper) < 0.53 as is_woman,
        one_of('kind of double', shopper, ['again', 'typo', 'moved', 'married', 'swapped', 'script'])
            as drawn,
        case when drawn = 'script' and g.women_latin is null then 'typo' else drawn end as kind,
        list_position(case when is_woman then g.women else g.men end, given_name) as given_place,
        list_position(
            list_transform(g.families, lambda f: string_split(f, '|')[if(is_woman, -1, 1)]),
            family_name
        ) as family_place,
        string_split(
            one_of('married', shopper, list_filter(g.families, lambda f, i: i <> family_place)), '|'
        ) as married,
        (case when is_woman then g.women_latin else g.men_latin end)[given_place] as given_latin,
        string_split(g.families_latin[family_place], '|') as family_latin,
        chance('double email', shopper) as email_draw,
        chance('double mobile', shopper) as mobile_draw,
        chance('double birthday', shopper) as birth_draw
    from person as p
    inner join language as g on g.language = p.language
    where chance('registers twice', shopper) < getvariable('duplicates')
)
select
    again as shopper,
    again as household,
    place,
    language,
    'C' || padded(scrambled(again, 8), 8) as member_no,
    case
        when kind = 'script' then given_latin
        when kind = 'swapped' then family_name
        when kind = 'typo' and again % 2 = 0 then mistyped(again, given_name)
        else given_name
    end as given_name,
    case
        when kind = 'script' then family_latin[if(is_woman, -1, 1)]
        when kind = 'swapped' then given_name
        when kind = 'married' then married[if(is_woman, -1, 1)]
        when kind = 'typo' and again % 2 = 1 then mistyped(again, family_name)
        else family_name
    end as family_name,
    case
        when email_draw < 0.55 then case when kind = 'again' then upper(email) else email end
        when email_draw < 0.85 then 'new.' || string_split(email, '.')[2] || '.'
            || scrambled(again, 8) || '@example.net'
    end as email,
    case
        when mobile_draw < 0.6 then rewritten(again, mobile)
        when mobile_draw < 0.8 then mobile[:-9] || padded(scrambled(again, 8), 8)
    end as mobile,
    case
        when birth_draw < 0.85 then birth_date
        when birth_draw < 0.89 and day(birth_date) <= 12
            then make_date(year(birth_date), day(birth_date), month(birth_date))
        when birth_draw < 0.92 then birth_date + 1
    end as birth_date,
    tag,
    timezone,
    country,
    case when kind = 'moved' then null else city end as city,
    case
        when kind = 'moved' then padded(10000 + pick('moved to', again, 89999), 5)
        else postal_code
    end as postal_code,
    home_store,
    again_day as joined_day,
    at_time('again at', again, again_day, 8, 13) as joined_at,
    2900000000000 + scrambled(again * 2, 9) as card_1,
    2900000000000 + scrambled(again * 2 + 1, 9) as card_2,
    null::integer as lost_day,
    is_replaced,
    shopper as original,
    member_no as original_no,
    kind
from twice
order by original;

-- name: member
-- Whoever is on the register, those who are on it twice included.
create view member as
select * from person
union all by name
select * exclude (original, original_no, kind) from double;

-- name: lead
-- One row per prospect; some became members, on the same address, after they had been noted.
create table lead as
with met as (
    select
        i as lead,
        p.*,
        coalesce(p.place, pick('lead place', i, (select count(*) from place)))::integer as lead_place
    from (
        select i, case when chance('won', i) < 0.5 then i * 5 end as won
        from range(getvariable('customers') // 5 + 1) t (i)
    )
    left join (select * from person where joined_day > 0) as p on p.shopper = won
), named as (
    select
        m.lead,
        m.shopper,
        h.tag,
        h.timezone,
        h.country,
        coalesce(m.given_name, one_of('lead given name', lead, g.women || g.men)) as first_name,
        coalesce(m.family_name, string_split(one_of('lead family name', lead, g.families), '|')[1])
            as surname,
        case
            when m.shopper is not null then m.email
            else one_of('lead mood', lead, moods) || '.' || one_of('lead animal', lead, animals)
                || '.p' || scrambled(lead, 8) || '@' || one_of('lead domain', lead, domains)
        end as email_address,
        case
            when m.shopper is not null then m.mobile
            when chance('lead mobile', lead) < 0.5
                then '+' || h.calling_code || '000' || padded(scrambled(lead, 8), 8)
        end as mobile,
        case
            when m.shopper is not null then m.joined_day - 1 - pick('noted before', lead, 60)
            else pick('noted', lead, getvariable('days'))
        end::integer as noted_day,
        one_of('note', lead, g.note) as note
    from met as m
    inner join place as h on h.position = m.lead_place
    inner join language as g on g.language = h.language
    cross join lexicon
)
select *, 'L' || padded(scrambled(lead, 8), 8) as lead_no
from named
order by lead;

-- name: trading_month
-- One row per calendar month in which the tills run, whole months.
create table trading_month as
select
    first::date as from_day,
    (first + interval 1 month - interval 1 day)::date as to_day,
    month(first) + 12 * year(first) as month_number
from unnest(generate_series(
    date_trunc('month', day_date(0))::timestamp,
    day_date(getvariable('days') - 1)::timestamp,
    interval 1 month
)) t (first)
order by first;
