-- What each customer is recommended: candidates in `found` (customer, item, score, place from 0, is_own), beside
-- the tables of sales.sql.

-- name: companion
-- What goes with a product: of a sample's baskets that have it, the share that have the other one too,
-- where that is half as much again as chance would have it: the two that chance explains least.
create temp table companion as
with basket as (
    select customer, day, item from sold
    where item is not null and customer % greatest(1, (select count(*) from person) // 20000) = 0
), together as (
    select one.item, other.item as other, count(*) as number
    from basket as one
    inner join basket as other using (customer, day)
    where one.item <> other.item
    group by all
    having count(*) >= 10
), alone as (
    select item, count(*) as number from basket group by item
), counted_baskets as (
    select count(*) as number from (select distinct customer, day from basket)
)
select
    together.item,
    together.other,
    together.number / alone.number as share
from together
inner join alone using (item)
inner join alone as others on others.item = together.other
cross join counted_baskets
where together.number * counted_baskets.number >= 1.5 * alone.number * others.number
qualify row_number() over (
    partition by together.item order by together.number / others.number desc, other
) <= 2

-- name: chosen
-- Ten each at most, best first, six usual ones and two that go with them at most. Left out: what
-- was just bought, is gone, or loses money; and, of what is not usual, what is out of the price range.
with usual as (
    select found.customer, found.item, found.score, 'replenish' as kind
    from found
    inner join owned using (customer, item)
    where found.is_own and datediff('day', owned.last_on, getvariable('today')) >= 7
), companions as (
    select found.customer, companion.other as item, found.score * companion.share as score
    from found
    inner join companion using (item)
    anti join owned on owned.customer = found.customer and owned.item = companion.other
    where found.is_own and found.place < 3
), others as (
    select customer, item, max(score) as score, min(kind) as kind
    from (
        select customer, item, score, 'goes_with' as kind from companions
        union all
        select customer, item, score, 'new' from found where not is_own
    )
    group by customer, item
), together as (
    select * from usual
    union all
    select * from others
), fit as (
    select
        together.customer,
        together.item,
        together.kind,
        together.score * shelf.worth as score,
        row_number() over (
            partition by together.customer, together.kind
            order by together.score * shelf.worth desc, together.item
        ) as place
    from together
    inner join shelf using (item)
    inner join habit using (customer)
    where shelf.is_in_stock and shelf.is_profitable
        and (
            together.kind = 'replenish'
            or coalesce(abs(shelf.price_rank / 10000 - habit.price_level) <= 0.3, true)
        )
), kept as (
    select
        customer,
        item,
        kind,
        row_number() over (partition by customer order by score desc, item) as rank
    from fit
    where place <= case kind when 'replenish' then 6 when 'goes_with' then 2 else 10 end
    qualify rank <= 10
)
select person.customer_id, kept.rank, article.product_id, kept.kind
from kept
inner join person using (customer)
inner join article using (item)
order by person.customer_id, kept.rank
