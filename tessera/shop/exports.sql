-- What the retailer's systems export, under their own headings, one query per kind of file, in file
-- order. Times are local: the till's where there is one, else the shop's.

-- name: stores
select
    store_no,
    name as store_name,
    city as town,
    country as country_code,
    timezone as tz,
    opened_on as opening_date
from store
order by store;

-- name: products
select
    article_no,
    description,
    category as department,
    product_group,
    brand,
    euros(price) as shelf_price,
    euros(unit_margin) as margin,
    'EUR' as ccy
from product
order by article_no;

-- name: customers
select
    member_no,
    case
        when count(*) over (partition by household) > 1 and chance('declared', household) < 0.7
            then 'H' || padded(scrambled(household, 8), 8)
    end as household_no,
    given_name as first_name,
    family_name as surname,
    email as email_address,
    mobile,
    birth_date as date_of_birth,
    tag as preferred_language,
    timezone as tz,
    country as country_code,
    city as town,
    postal_code,
    (select store_no from store where store = home_store) as main_store,
    one_of('how found', shopper, (select names from how_found)) as how_found,
    joined_at as member_since
from member
order by member_no;

-- name: cards
with issued as (
    select
        member_no,
        card_1,
        card_2,
        is_replaced,
        joined_at,
        -- Cards are blocked after closing time, and the new one works from the next morning.
        case
            when lost_day < getvariable('days') then day_date(lost_day)::timestamp + interval 22 hours
        end as lost_at
    from member
)
select
    card_1 as card_no,
    member_no,
    joined_at as issued,
    lost_at as blocked,
    case when lost_at is not null and is_replaced then card_2 end as replaced_by
from issued
union all
select card_2, member_no, lost_at, null, null
from issued
where lost_at is not null and is_replaced
order by card_no;

-- name: consents
with asked as (
    select
        shopper * 4 + channel as word,
        shopper,
        member_no,
        joined_day,
        joined_at,
        ['email', 'sms'][channel] as channel,
        chance('grants', word) < [0.74, 0.38][channel] as granted
    from member, unnest([1, 2]) t (channel)
    where chance('asked', shopper * 4 + channel) < 0.96
), withdrawn as (
    select
        *,
        greatest(joined_day, -200) + 1 + pick('withdraws', word, getvariable('days') + 400)
            as withdrawn_day
    from asked
    where granted and chance('withdraws at all', word) < 0.14
), regranted as (
    select *, withdrawn_day + 2 + pick('returns', word, 120) as regranted_day
    from withdrawn
    where chance('returns at all', word) < 0.15
), said as (
    select member_no, channel, granted, joined_at as answered,
        one_of('where asked', shopper, ['till', 'till', 'web', 'app']) as where_asked
    from asked
    union all
    select member_no, channel, false, at_time('withdrawn', word, withdrawn_day, 8, 13),
        one_of('where withdrawn', word, ['unsubscribe_link', 'preference_centre', 'till'])
    from withdrawn
    where withdrawn_day < getvariable('days')
    union all
    select
        member_no, channel, true, at_time('regranted', word, regranted_day, 8, 13),
        'preference_centre'
    from regranted
    where regranted_day < getvariable('days')
)
select
    member_no,
    channel,
    'marketing' as purpose,
    case when granted then 'Y' else 'N' end as answer,
    answered,
    where_asked,
    case when answered < day_date(-300)::timestamp then 'w1' else 'w2' end as wording
from said
order by answered, member_no, channel;

-- name: prospects
select
    lead_no,
    first_name,
    surname,
    email_address,
    mobile,
    tag as preferred_language,
    timezone as tz,
    country as country_code,
    one_of('lead found', lead, (select names from how_found)) as how_found,
    at_time('noted', lead, noted_day, 8, 13) as created,
    case when chance('remark', lead) < 0.4 then note end as remarks
from lead
order by created, lead_no;

-- name: interactions
with members as (
    select
        p.shopper,
        p.member_no,
        g.*,
        s.first_day,
        s.last_day - s.first_day as span,
        s.leave_day < getvariable('days') as is_leaving
    from person as p
    inner join language as g on g.language = p.language
    inner join shopper as s using (shopper)
    where s.last_day > s.first_day
), posted as (
    select
        shopper * 1000 + round as id,
        'O' as letter,
        member_no,
        null as lead_no,
        'contact' as type,
        'post' as channel,
        at_time('posted', shopper * 1000 + round, offered_day, 9, 4) as at_time,
        'coupon' as subject,
        null as text,
        null::integer as score,
        null as state,
        85 as cost
    from offer
    inner join members using (shopper)
), tried as (
    select
        shopper,
        'V',
        member_no,
        null,
        'contact',
        'email',
        at_time('tried', shopper, getvariable('trial_day'), 9, 1),
        'coupon trial',
        null,
        null,
        case when is_offered then 'offered' else 'withheld' end,
        0
    from trial
    inner join person using (shopper)
), called as (
    select
        lead,
        'T',
        null,
        lead_no,
        'contact',
        one_of('lead channel', lead, ['phone', 'store']),
        at_time('called', lead, least(greatest(noted_day + 1, 0), getvariable('days') - 1), 10, 8),
        'loyalty card',
        null,
        null,
        null,
        120
    from lead
    where chance('called', lead) < 0.5
), complained as (
    select
        shopper,
        'C',
        member_no,
        null,
        'complaint',
        one_of('complaint channel', shopper, ['email', 'phone', 'store']),
        at_time('complained', shopper, first_day + pick('complaint day', shopper, span), 9, 11),
        one_of('complaint', shopper, ['goods', 'till', 'points']),
        one_of('complaint', shopper, complaint),
        null,
        case when chance('settled', shopper) < 0.75 then 'resolved' else 'open' end,
        0
    from members
    where chance('complains', shopper) < case when is_leaving then 0.08 else 0.02 end
), heard as (
    select
        *,
        shopper * 2 + asked as answer,
        case when is_leaving then 5.5 else 8 end + 2.2 * bell('opinion', answer) as felt,
        least(greatest(round(felt), 0), 10)::integer as opinion
    from members, unnest([0, 1]) t (asked)
    where chance('answers', shopper * 2 + asked) < [0.08, 0.1][asked + 1]
), judged as (
    select
        answer,
        ['R', 'S'][asked + 1],
        member_no,
        null,
        ['review', 'survey'][asked + 1],
        ['web', 'email'][asked + 1],
        at_time('answered', answer, first_day + pick('answer day', answer, span), 8, 13),
        ['shop', 'satisfaction'][asked + 1],
        case
            when asked = 0 or chance('in words', answer) < 0.5
                then one_of('words', answer, case when opinion >= 7 then glad else sorry end)
        end,
        opinion,
        null,
        0
    from heard
), everything as (
    select * from posted
    union all select * from tried
    union all select * from called
    union all select * from complained
    union all select * from judged
)
select
    letter || padded(scrambled(id, 11), 11) as entry_no,
    member_no,
    lead_no,
    type,
    channel,
    at_time,
    subject,
    text,
    score,
    state,
    euros(cost) as cost,
    'EUR' as ccy
from everything
order by at_time, entry_no;

-- name: source_costs
with spent as (
    select
        *,
        (monthly_cost * (0.8 + 0.4 * chance('cost ' || name, month_number)))::bigint as per_thousand
    from source, trading_month
)
select
    name as how_found,
    from_day as month_from,
    to_day as month_to,
    euros(per_thousand * getvariable('customers') // 1000) as cost,
    'EUR' as ccy
from spent
order by month_from, how_found;

-- name: targets
with goals as (
    select 'revenue' as measure, 'shop' as level, 'all' as level_key, 25.0 as goal
    union all select 'active_customers', 'shop', 'all', 0.55
    union all select 'new_customers', 'shop', 'all', 0.03
    union all select 'prospects_contacted', 'shop', 'all', 0.01
    union all select 'revenue', 'store', store_no, 25.0 / count(*) over () from store
    union all select 'revenue', 'category', name, 25.0 * slots / sum(slots) over () from aisle
)
select
    measure,
    level,
    level_key,
    from_day,
    to_day,
    ceil(
        goal * getvariable('customers')
        * (0.9 + 0.2 * chance('goal ' || measure || level_key, month_number))
    )::decimal(18, 3) as goal
from goals, trading_month
order by from_day, measure, level, level_key;
