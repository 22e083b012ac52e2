-- The till receipts of one period. Variables: from_day, to_day (exclusive).

-- name: visit
-- The receipts of [from_day, to_day), and earlier ones from which something comes back in it.
create or replace temp table visit as
select
    call,
    1000000000000 + scrambled(call, 12) as receipt_no,
    shopper,
    store,
    c.day,
    case
        when chance('daypart', call) < 0.6 then favourite_hour
        else 8 + 3 * pick('hour', call, 4)
    end::integer as hour,
    -- The product of two chances is a quarter on average, and skewed as baskets are.
    4 * (basket_lines - 1) * chance('basket', call) * chance('basket too', call) as more_lines,
    least(1 + floor(more_lines + chance('basket end', call)), 30)::integer as basket,
    case
        when is_offer then 'POST10'
        when is_trial_day(c.day) and shopper in (select shopper from trial where is_offered)
            then 'TRIAL5'
        when chance('coupon', call) < 0.25 * discount_affinity then 'SAVE5'
    end as coupon,
    case
        when chance('brings back', call) < 0.035
            then next_open_day(c.day + 1 + pick('comes back', call, 28), store)
    end::integer as return_day,
    chance('forgets', call) < forgets_card as is_anonymous,
    case when c.day > d.joined_day and chance('which card', call) < 0.5 then d.card_1 end
        as second_card,
    case
        when is_anonymous then null
        else coalesce(second_card, card_on(c.day, s.lost_day, s.is_replaced, p.card_1, p.card_2))
    end as card_no,
    case
        when is_anonymous then null
        else coalesce(second_card, card_on(return_day, s.lost_day, s.is_replaced, p.card_1, p.card_2))
    end as return_card_no
from calls(greatest(getvariable('from_day') - 29, 0), getvariable('to_day')) as c
inner join shopper as s using (shopper)
left join person as p using (shopper)
left join double as d on d.original = c.shopper
where c.day >= getvariable('from_day')
    or (return_day >= getvariable('from_day') and return_day < getvariable('to_day'));

-- name: reach
-- One row per sold line: the wish of the hour, or the favourite, and what was paid.
create or replace temp view reach as
with lines as (
    select v.*, unnest(range(1, basket + 1)) as line_no from visit as v
), wished as (
    select
        l.*,
        s.first_slot,
        s.slots,
        s.favourite_slot,
        s.price_level,
        s.category_devotion,
        s.product_devotion,
        month(day_date(day)) as month,
        call * 32 + line_no as line
    from lines as l
    inner join shopper as s using (shopper)
), reached as (
    select
        w.*,
        chance('taste', line) < category_devotion as is_favourite,
        case when is_favourite then w.first_slot else m.first_slot end as shelf_begin,
        case when is_favourite then w.slots else m.slots end as shelf_length,
        abs(price_level + (chance('reach', line) - 0.5) * 0.8) as height
    from wished as w
    inner join wish as m on m.month = w.month and m.wish = pick('wish', line, 1000)
), taken as (
    select
        *,
        least(case when height > 1 then 2 - height else height end, 0.9999) as place,
        case
            when chance('article', line) < product_devotion then favourite_slot
            else shelf_begin + floor(shelf_length * place)::integer
        end as slot
    from reached
), weighed as (
    select
        t.*,
        p.product,
        p.article_no,
        p.price,
        p.weighed,
        case
            when p.weighed then 250 + 5 * pick('weight', line, 300)
            else 1000 * one_of('quantity', line, [
                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 6
            ])
        end::integer as thousandths
    from taken as t
    inner join shelf as p on p.slot = t.slot
), priced as (
    select
        *,
        ((price::bigint * thousandths + 500) // 1000)::integer as gross,
        -- One article in twelve is on promotion in any week, for everybody.
        product * 1000 + day // 7 as promotion,
        case
            when chance('promotion', promotion) < 0.08 then 10 + 5 * pick('promotion rate', promotion, 5)
            else 0
        end + case coupon when 'POST10' then 10 when 'TRIAL5' then 5 when 'SAVE5' then 5 else 0 end as percent_off
    from weighed
)
select *, (gross * percent_off // 100)::integer as saved from priced;

-- name: receipt_lines
-- The lines of [from_day, to_day) as the tills export them, sales and what came back, in time order.
with sold as (
    select
        receipt_no,
        line_no,
        store,
        card_no,
        day,
        article_no,
        thousandths,
        gross - saved as paid,
        saved,
        coupon,
        'S' as type,
        null::bigint as refers_to,
        hour * 3600 + pick('second', call, 10800) as second
    from reach
    where day >= getvariable('from_day') and day < getvariable('to_day')
), back as (
    select
        2000000000000 + scrambled(call, 12) as receipt_no,
        line_no,
        store,
        return_card_no as card_no,
        return_day as day,
        article_no,
        thousandths,
        gross - saved as paid,
        receipt_no as refers_to,
        case
            when weighed or thousandths = 1000 or chance('all of it', line) < 0.6 then thousandths
            else 1000 * (1 + pick('how many', line, thousandths // 1000))
        end as returned
    from reach
    where return_day >= getvariable('from_day') and return_day < getvariable('to_day')
        and chance('this one', line) < 0.45
), everything as (
    select * from sold
    union all
    select
        receipt_no,
        line_no,
        store,
        card_no,
        day,
        article_no,
        -returned,
        -(paid::bigint * returned // thousandths)::integer,
        0,
        null,
        'R',
        refers_to,
        8 * 3600 + pick('return second', receipt_no, 46800)
    from back
)
select
    b.receipt_no,
    b.line_no::integer as line_no,
    b.card_no,
    s.store_no,
    day_date(b.day)::timestamp + to_seconds(b.second) as till_time,
    s.timezone as tz,
    b.article_no,
    (b.thousandths * 0.001)::decimal(9, 3) as qty,
    euros(b.paid) as paid,
    euros(b.saved) as saved,
    b.coupon || '-' || strftime(day_date(b.day), '%y%m') as coupon,
    b.type,
    b.refers_to,
    case
        when s.store > 0 and chance('self checkout', b.receipt_no) > 0.15
            then s.store_no || '-' || (1 + pick('clerk', b.receipt_no, 6))
    end as clerk,
    'EUR' as ccy
from everything as b
inner join store as s using (store)
order by b.day, b.second, b.receipt_no, b.line_no;
