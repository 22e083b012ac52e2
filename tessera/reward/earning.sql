-- What receipts should have earned, against what the ledger says they did. DuckDB; every table
-- here is temporary. `transactions` is the published mart, `rule` the programme's earn rules and
-- `rate` what they give in each tier,
-- `posted` the ledger's transfers of the receipts and returns in scope.

-- name: rule
-- Told are Arrow tables, of which the planner knows nothing: it would gather the receipts for each rule
-- rather than the rules for each receipt.
create or replace temp table rule as
select
    *, stacking <> 'add' and count(*) over (partition by stacking) > 1 as has_rival,
    coalesce(cap_day, cap_member, cap_budget) is not null as has_cap
from told_rule

-- name: rate
create or replace temp table rate as select * from told_rate

-- name: files
select distinct file_id from transactions

-- name: begin
-- What comes back of receipts that gave no points takes none.
create temp view transactions as
select * from memory.main.transactions
where
    original_transaction_id is null
    or original_transaction_id not in (
        select transaction_id from memory.main.transactions where sold_at < getvariable('first')
    )

-- name: points
-- Exact: HUGEINT cannot overflow on a product of two 64-bit integers.
create or replace macro points(basis, numerator, denominator, rounding) as (
    case rounding
        when 'up' then (basis::hugeint * numerator + denominator - 1) // denominator
        when 'nearest' then (2 * basis::hugeint * numerator + denominator) // (2 * denominator)
        else basis::hugeint * numerator // denominator
    end
)::bigint

-- name: room
-- What is left below a cap, if there is one.
create or replace macro room(cap, given) as
    case when cap is not null then greatest(cap - coalesce(given, 0), 0)::bigint end

-- name: local_day
-- The day of an instant in the programme's zone.
create or replace macro local_day(instant) as
    timezone(getvariable('zone'), timezone('UTC', instant))::date

-- name: suits
-- Whether a receipt is one that a rule asks for, by what the receipt itself says.
create or replace macro suits(stores, weekdays, least_amount, since, until, store_id, sold_on, amount) as
    (stores is null or list_contains(stores, store_id))
    and (weekdays is null or list_contains(weekdays, lower(strftime(sold_on, '%a'))))
    and (least_amount is null or amount >= least_amount)
    and (since is null or sold_on >= since)
    and (until is null or sold_on <= until)

-- name: no_products
create view if not exists products as
select null::varchar as product_id, null::varchar as category, null::varchar as brand where false

-- name: line
-- The lines that may earn: of the programme's currency, and sold before the instant we act as of.
create temp view line as
select
    transaction_id, line_id, original_transaction_id, customer_id, kind, amount, sold_at, file_id,
    store_id, product_id, quantity
from transactions
where
    sold_at < getvariable('as_of')
    and (getvariable('currency') = 'any' or currency = getvariable('currency'))

-- name: touched
-- Receipts with a line that no earlier run has looked at: later than its instant, or in a file
-- that its marts did not have.
create temp table touched as
select distinct transaction_id
from line
where sold_at >= getvariable('since') or file_id not in (select file_id from seen_file)

-- name: scope
create temp table scope as
select transaction_id from touched
union
select original_transaction_id
from line semi join touched using (transaction_id)
where kind = 'return' and original_transaction_id is not null

-- name: of_handed_on
-- Nobody told these again, so that what gave nothing is not judged by the rules of today.
insert into scope
select distinct transaction_id
from transactions semi join handed_on using (card_id)
where sold_at < getvariable('as_of') and transaction_id not in (select transaction_id from scope)

-- name: receipt
create temp table receipt as
select
    transaction_id,
    min(customer_id) as customer_id,
    max(sold_at) as sold_at,
    min(store_id) as store_id,
    greatest(coalesce(sum(amount) filter (where kind = 'sale'), 0), 0)::bigint as amount
from line semi join scope using (transaction_id)
group by transaction_id

-- name: counted
-- What each rule counts of each line in scope: minor units or pieces; a receipt is one. A rule of
-- one kind of product sees only the lines that have it.
create temp table counted as
select
    line.transaction_id, line.line_id, line.kind, rule.rule,
    case rule.basis_of when 'item' then abs(line.quantity) else abs(line.amount) end as counted
from (
    select line.*, product.category, product.brand
    from line left join products as product using (product_id)
    where
        line.transaction_id in (select transaction_id from scope)
        or line.original_transaction_id in (select transaction_id from scope)
) as line
inner join rule
    on
        (rule.products is null or list_contains(rule.products, line.product_id))
        and (rule.categories is null or list_contains(rule.categories, line.category))
        and (rule.brands is null or list_contains(rule.brands, line.brand))

-- name: rule_basis
create temp table rule_basis as
select
    counted.transaction_id, counted.rule,
    floor(coalesce(sum(counted.counted), 0))::bigint as lines,
    if(any_value(rule.basis_of) = 'order', 1, lines) as basis
from counted inner join rule using (rule)
where counted.kind = 'sale'
group by counted.transaction_id, counted.rule

-- name: first_purchase
-- Each member's first by each rule that asks for it: the one that the rule was given for, whatever is
-- heard of earlier ones later.
create temp table first_purchase as
with given as (
    select customer_id, rule, origin as transaction_id
    from given_before semi join (select rule from rule where first_purchase) as asking using (rule)
    group by customer_id, rule, origin
    having sum(points) > 0
),

earliest as (
    select customer_id, arg_min(transaction_id, (sold_at, transaction_id)) as transaction_id
    from transactions
    where
        kind = 'sale' and exists (select 1 from rule where first_purchase)
        and customer_id in (select customer_id from receipt)
    group by customer_id
)

select * from given
union all by name
select customer_id, rule.rule, transaction_id
from earliest cross join rule
where
    rule.first_purchase
    and not exists (
        select 1 from given where given.customer_id = earliest.customer_id and given.rule = rule.rule
    )

-- name: birthday
-- 29 February is kept on another day in the years that have none.
create temp table birthday as
select customer_id, birth_date
from customers
where
    birth_date is not null and exists (select 1 from rule where birthday is not null)
    and customer_id in (select customer_id from receipt)

-- name: candidate
-- What each receipt is worth by each rule in force, its conditions and multiplier considered.
create temp view candidate as
with seen as (
    select
        receipt.*,
        local_day(receipt.sold_at) as sold_on,
        coalesce(known_tier.tier, '') as tier,
        birthday.birth_date,
        case
            when
                month(birthday.birth_date) = 2 and day(birthday.birth_date) = 29
                and day(last_day(make_date(year(local_day(receipt.sold_at)), 2, 1))) = 28
                then getvariable('leap_day')
            else strftime(birthday.birth_date, '%m-%d')
        end as birthday
    from receipt
    left join known_tier using (customer_id)
    left join birthday using (customer_id)
    where receipt.customer_id is not null
)

select
    seen.transaction_id,
    seen.customer_id,
    seen.sold_at,
    seen.sold_on,
    rule.rule,
    rate.version,
    rule_basis.basis,
    rule.stacking,
    rule.position,
    rule.has_rival,
    least(
        points(rule_basis.basis, rate.numerator, rate.denominator, rule.rounding),
        coalesce(rule.cap_transaction, 1e15::bigint)
    ) as points
from seen
inner join rule_basis using (transaction_id)
inner join rule using (rule)
inner join rate on rule.rule = rate.rule and seen.tier = rate.tier
left join first_purchase
    on
        seen.customer_id = first_purchase.customer_id and rule.rule = first_purchase.rule
        and seen.transaction_id = first_purchase.transaction_id
where
    suits(
        rule.stores, rule.weekdays, rule.least_amount, rule.since, rule.until,
        seen.store_id, seen.sold_on, seen.amount
    )
    and (rule.tiers is null or list_contains(rule.tiers, seen.tier))
    and (rule.first_purchase is null or first_purchase.rule is not null)
    and (rule.birthday is null or case rule.birthday
        when 'day' then strftime(seen.sold_on, '%m-%d') = seen.birthday
        else month(seen.sold_on) = month(seen.birth_date)
    end)

-- name: due
-- Of rules that do not add up the best counts: only those that have another beside them are compared.
create temp table due as
with worth as (select * from candidate)

select * exclude (has_rival) from worth where not has_rival
union all
select * exclude (has_rival) from worth where has_rival
qualify
    row_number() over (partition by transaction_id, stacking order by points desc, position) = 1

-- name: return_line
-- A return is judged together with all others of its original; one that names none, with the
-- other lines of its own receipt.
create temp table return_line as
select
    transaction_id,
    line_id,
    coalesce(original_transaction_id, transaction_id) as group_id,
    original_transaction_id is not null as is_named,
    customer_id,
    sold_at,
    -amount as amount
from line
where
    kind = 'return'
    and amount < 0
    and coalesce(original_transaction_id, transaction_id) in (select transaction_id from scope)

-- name: wanted
select transaction_id as source_id from scope
union
select transaction_id from return_line

-- name: left
-- What returns that came in were said to be of before.
insert into scope
select distinct origin as transaction_id
from posted semi join touched on posted.source_id = touched.transaction_id
where origin is not null and origin not in (select transaction_id from scope)

-- name: customers
select customer_id from receipt where customer_id is not null
union
select customer_id from posted

-- name: event
-- One row per transfer to post; points are signed. `origin` is the receipt whose points are moved,
-- `earned_on` the day of `effective_at` in the programme's zone, where it was asked for before.
create temp table event (
    customer_id varchar, idem_key varchar, kind varchar, source_type varchar, source_id varchar,
    source_line varchar, rule varchar, rule_version varchar, points bigint, basis bigint,
    effective_at timestamp, origin varchar, earned_on date
)

-- name: corrected
-- Receipts that earned on another basis, on another day, or for another customer, than they now show, or
-- by a rule in force that they no longer suit. What a rule counted that was changed since nobody knows any
-- more: a receipt that came again shows another basis if it shows what was counted in no way.
create temp table corrected as
with whole as (
    select
        transaction_id, sum(abs(amount))::bigint as amount, floor(sum(abs(quantity)))::bigint as pieces
    from line semi join touched using (transaction_id)
    where kind = 'sale' and transaction_id in (select source_id from posted)
    group by transaction_id
)

select receipt.transaction_id, receipt.customer_id, receipt.amount, receipt.sold_at
from receipt
where receipt.transaction_id in (
    select last_judged.source_id
    from (
        select
            source_id, rule, arg_max(basis, transfer_id) as basis,
            split_part(arg_max(rule_version, transfer_id), '*', 1) as version
        from posted
        where source_type = 'receipt'
        group by source_id, rule
    ) as last_judged
    left join rule_basis
        on last_judged.source_id = rule_basis.transaction_id and last_judged.rule = rule_basis.rule
    left join whole on last_judged.source_id = whole.transaction_id
    where
        coalesce(rule_basis.basis, 0) <> last_judged.basis
        and last_judged.rule in (select rule from rule)
        and (
            last_judged.version in (select version from rate)
            or last_judged.basis not in (whole.amount, whole.pieces, 1)
        )
    union all
    select posted.source_id
    from posted inner join receipt as shown on posted.source_id = shown.transaction_id
    where posted.source_type = 'receipt' and posted.customer_id is distinct from shown.customer_id
    group by posted.source_id, posted.customer_id
    having sum(posted.points) <> 0
    union all
    select posted.source_id
    from posted
    inner join receipt as shown on posted.source_id = shown.transaction_id
    inner join rule on posted.rule = rule.rule
    where
        posted.source_type = 'receipt' and posted.rule_version in (select version from rate)
        and not suits(
            rule.stores, rule.weekdays, rule.least_amount, rule.since, rule.until,
            shown.store_id, local_day(shown.sold_at), shown.amount
        )
    group by posted.source_id, posted.rule
    having sum(posted.points) <> 0
    union all
    select posted.source_id
    from posted inner join receipt as shown on posted.source_id = shown.transaction_id
    where posted.source_type = 'receipt'
    group by posted.source_id
    having
        local_day((arg_max(posted.effective_at, posted.transfer_id) filter (posted.points > 0))[:19]::timestamp)
        <> local_day(any_value(shown.sold_at))
)

-- name: fresh
-- Receipts that came in and that the ledger knows nothing of. What gave nothing when it came gives nothing
-- because something of it comes back, whatever the rules, the member's tier or the room of a cap are by then.
create temp table fresh as
select transaction_id
from touched anti join (
    select source_id as transaction_id from posted where source_type = 'receipt'
) as known using (transaction_id)

-- name: judged
-- Receipts that are new to the ledger, or corrected.
create temp view judged as
select transaction_id from corrected
union all
select transaction_id from fresh

-- name: others
-- What the ledger gave for other receipts.
create temp view others as
select * from given_before anti join corrected on given_before.origin = corrected.transaction_id

-- name: budget
create temp view budget as
select rule, sum(points) as points
from (
    select rule, points from budget_before
    union all by name
    select rule, -points as points
    from given_before semi join corrected on given_before.origin = corrected.transaction_id
)
group by rule

-- name: has_capped_rivals
select 1 from rule where has_rival and has_cap limit 1

-- name: rival
-- Where the best of a receipt's rules has a cap, in the order of the receipts: what each would give, and
-- the room that the ledger left under each cap (null: none). A cap that has room for all that could be given
-- stands in no way, whatever is chosen, and a receipt that meets no other keeps the best of its rules.
with offer as (
    select
        candidate.*,
        room(rule.cap_day, by_day.points) as room_of_day,
        room(rule.cap_member, by_member.points) as room_of_member,
        room(rule.cap_budget, budget.points) as room_of_all
    from candidate
    inner join rule on candidate.rule = rule.rule
    left join (
        select
            customer_id, rule, local_day(effective_at[:19]::timestamp) as sold_on, sum(points) as points
        from others
        group by customer_id, rule, sold_on
    ) as by_day
        on
            candidate.customer_id = by_day.customer_id and candidate.rule = by_day.rule
            and candidate.sold_on = by_day.sold_on
    left join (
        select customer_id, rule, sum(points) as points from others group by customer_id, rule
    ) as by_member
        on candidate.customer_id = by_member.customer_id and candidate.rule = by_member.rule
    left join budget on candidate.rule = budget.rule
    where
        candidate.has_rival and candidate.points > 0
        and candidate.transaction_id in (select transaction_id from judged)
        and candidate.transaction_id in (
            select due.transaction_id
            from due inner join rule as best on due.rule = best.rule
            where best.has_rival and best.has_cap
        )
),

weighed as (
    select
        *,
        coalesce(sum(points) over (partition by rule, customer_id, sold_on) > room_of_day, false)
        or coalesce(sum(points) over (partition by rule, customer_id) > room_of_member, false)
        or coalesce(sum(points) over (partition by rule) > room_of_all, false) as is_tight
    from offer
)

select
    transaction_id, rule, points, customer_id, sold_on, room_of_day, room_of_member, room_of_all
from weighed
qualify bool_or(is_tight) over (partition by transaction_id)
order by sold_at, transaction_id, position

-- name: lose
delete from due
where stacking <> 'add' and transaction_id in (select transaction_id from chosen)

-- name: win
insert into due
select * exclude (has_rival) from candidate semi join chosen using (transaction_id, rule)

-- name: within_caps
-- What they may earn by rules with caps. What the ledger gave for other receipts counts against them. Rules
-- without caps need no walk through what came before.
create temp table within_caps as
with claim as (
    select due.* exclude (stacking, position)
    from due semi join judged using (transaction_id)
    where points > 0 and rule in (select rule from rule where has_cap)
),

by_day as (
    select
        claim.* exclude (points),
        least(claim.points, greatest(
            coalesce(rule.cap_day, 1e15::bigint) - coalesce(before.points, 0)
            - (sum(claim.points) over so_far - claim.points), 0
        ))::bigint as points
    from claim
    inner join rule using (rule)
    left join (
        select customer_id, rule, local_day(effective_at[:19]::timestamp) as earned_on,
            sum(points) as points
        from others
        group by customer_id, rule, earned_on
    ) as before
        on
            claim.customer_id = before.customer_id and claim.rule = before.rule
            and claim.sold_on = before.earned_on
    window so_far as (
        partition by claim.customer_id, claim.rule, claim.sold_on
        order by claim.sold_at, claim.transaction_id
    )
),

by_member as (
    select
        by_day.* exclude (points),
        least(by_day.points, greatest(
            coalesce(rule.cap_member, 1e15::bigint) - coalesce(before.points, 0)
            - (sum(by_day.points) over so_far - by_day.points), 0
        ))::bigint as points
    from by_day
    inner join rule using (rule)
    left join (
        select customer_id, rule, sum(points) as points from others group by customer_id, rule
    ) as before on by_day.customer_id = before.customer_id and by_day.rule = before.rule
    window so_far as (
        partition by by_day.customer_id, by_day.rule order by by_day.sold_at, by_day.transaction_id
    )
)

select
    by_member.* exclude (points),
    least(by_member.points, greatest(
        coalesce(rule.cap_budget, 1e15::bigint) - coalesce(budget.points, 0)
        - (sum(by_member.points) over so_far - by_member.points), 0
    ))::bigint as points
from by_member
inner join rule using (rule)
left join budget on by_member.rule = budget.rule
window so_far as (
    partition by by_member.rule order by by_member.sold_at, by_member.transaction_id
)

-- name: worth
create temp view worth as
select * from within_caps
union all by name
select * exclude (stacking, position)
from due
where rule in (select rule from rule where not has_cap)

-- name: first_earn
-- A receipt the ledger knows nothing of earns by the rules in force.
insert into event
select
    customer_id,
    concat('earn:', transaction_id, ':-:', rule),
    'earn',
    'receipt',
    transaction_id,
    '-',
    rule,
    version,
    points,
    basis,
    sold_at,
    transaction_id,
    sold_on
from worth semi join fresh using (transaction_id)
where points > 0

-- name: adjust_earn
-- A corrected receipt is judged again by the rules in force; the difference is a transfer of its
-- own, numbered after those that are there. What gives by a rule for the first time is earned by it.
-- Where the day was corrected all of it is given anew, to last from that day.
insert into event
with given as (
    select
        source_id as transaction_id,
        customer_id,
        rule,
        arg_max(rule_version, transfer_id) as version,
        sum(points)::bigint as points,
        (arg_max(effective_at, transfer_id) filter (points > 0))[:19]::timestamp as given_at
    from posted
    where source_type = 'receipt'
    group by source_id, customer_id, rule
),

weighed as (
    select
        transaction_id,
        customer_id,
        rule,
        coalesce(worth.version, given.version) as version,
        coalesce(worth.points, 0) as total,
        coalesce(given.points, 0) as before,
        given.given_at,
        corrected.sold_at
    from (
        select worth.* from worth semi join corrected using (transaction_id)
    ) as worth full outer join given using (transaction_id, customer_id, rule)
    inner join corrected using (transaction_id)
),

difference as (
    select * exclude (before, given_at), total - before as change
    from weighed where before = 0 or local_day(given_at) is not distinct from local_day(sold_at)
    union all by name
    select
        * exclude (before, given_at, total, sold_at), unnest([0, total]) as total,
        unnest([-before, total]) as change, unnest([given_at, sold_at]) as sold_at
    from weighed where before <> 0 and local_day(given_at) is distinct from local_day(sold_at)
),

numbered as (
    select
        difference.*,
        (select count(*) from posted where posted.source_id = difference.transaction_id)
        + row_number() over (partition by transaction_id order by rule, customer_id, change) as number,
        not exists (
            select 1 from given
            where
                given.transaction_id = difference.transaction_id and given.rule = difference.rule
        ) as is_first
    from difference
    where change <> 0
)

select
    numbered.customer_id,
    if(
        is_first, concat('earn:', numbered.transaction_id, ':-:', rule),
        concat_ws(':', 'adjust', numbered.transaction_id, '-', rule, number, total)
    ),
    if(is_first, 'earn', 'adjust'),
    'receipt',
    numbered.transaction_id,
    '-',
    rule,
    version,
    change,
    coalesce(rule_basis.basis, 0),
    numbered.sold_at,
    numbered.transaction_id,
    null
from numbered
left join rule_basis using (transaction_id, rule)

-- name: earned
-- What each receipt with returns has earned, this run's transfers included.
create temp table earned as
select
    source_id as transaction_id, rule, arg_max(rule_version, transfer_id) as version,
    sum(points)::bigint as points
from (
    select source_id, rule, rule_version, points, transfer_id from posted
    where source_type = 'receipt'
    union all
    select source_id, rule, rule_version, points, 9e18::bigint + (points > 0)::bigint from event
    where source_type = 'receipt'
)
where source_id in (select group_id from return_line)
group by source_id, rule

-- name: owed_back
-- What the returns of a group should have taken back, in all, after each of its lines: points of
-- the whole less points of what was kept, so that rounding cannot drift and no receipt gives back
-- more than it earned. Lines that were judged before come first, for what is posted stays posted, and what
-- was forgiven forgiven. Where the rule was changed since, the share that was kept counts. What falls below the least that a rule
-- asks for keeps nothing. A return that names nothing takes what a receipt of it would have given, at most.
create temp table owed_back as
with best_of_unnamed as (
    select return_line.group_id, rule.rule
    from return_line
    inner join counted using (transaction_id, line_id)
    inner join rule on counted.rule = rule.rule
    inner join rate on rule.rule = rate.rule and rate.tier = ''
    where
        not return_line.is_named and rule.stacking = 'best' and rule.basis_of <> 'order'
        and not rule.looks_at_receipt
    group by return_line.group_id, rule.rule, rule.position, rule.rounding, rate.numerator, rate.denominator
    qualify row_number() over (
        partition by return_line.group_id
        order by
            points(floor(sum(counted.counted))::bigint, rate.numerator, rate.denominator, rule.rounding) desc,
            rule.position
    ) = 1
),

line_rule as (
    select
        -- Nothing comes back before it was bought: the other till's clock is behind.
        return_line.* exclude (customer_id)
            replace (greatest(return_line.sold_at, receipt.sold_at) as sold_at),
        receipt.customer_id,
        receipt.amount as whole,
        coalesce(rule_basis.lines, 0) as rule_whole,
        coalesce(counted.counted, 0) as counted,
        earned.rule,
        earned.version,
        earned.points as earned
    from return_line
    inner join receipt on return_line.group_id = receipt.transaction_id
    inner join earned on receipt.transaction_id = earned.transaction_id
    left join rule_basis
        on receipt.transaction_id = rule_basis.transaction_id and earned.rule = rule_basis.rule
    left join counted
        on
            return_line.transaction_id = counted.transaction_id
            and return_line.line_id = counted.line_id and earned.rule = counted.rule
    where return_line.is_named and receipt.customer_id is not null
    union all by name
    select
        return_line.*, null as whole, null as rule_whole, counted.counted, rate.rule, rate.version,
        null as earned
    from return_line
    inner join counted using (transaction_id, line_id)
    inner join rule on counted.rule = rule.rule and not rule.looks_at_receipt
    left join known_tier on return_line.customer_id = known_tier.customer_id
    inner join rate on rule.rule = rate.rule and coalesce(known_tier.tier, '') = rate.tier
    where
        not return_line.is_named and return_line.customer_id is not null
        and rule.basis_of <> 'order'
        and (
            rule.stacking <> 'best'
            or (return_line.group_id, rule.rule) in (select group_id, rule from best_of_unnamed)
        )
),

posted_line as (
    select
        source_id, source_line, coalesce(origin, source_id) as group_id, origin is not null as is_named,
        arg_max(basis, transfer_id) as basis
    from posted
    where kind = 'clawback'
    group by source_id, source_line, origin
),

known as (
    select
        line_rule.*,
        posted_line.basis as posted_basis,
        coalesce(said.groups, 0) > (posted_line.source_id is not null)::integer as is_moved,
        posted_line.source_id is not null or (
            line_rule.transaction_id not in (select transaction_id from touched)
            and line_rule.group_id not in (select transaction_id from fresh)
        ) as is_judged
    from line_rule
    left join posted_line
        on
            line_rule.transaction_id = posted_line.source_id
            and line_rule.line_id = posted_line.source_line
            and line_rule.group_id = posted_line.group_id
            and line_rule.is_named = posted_line.is_named
    left join (
        select source_id, source_line, count(*) as groups from posted_line group by source_id, source_line
    ) as said on line_rule.transaction_id = said.source_id and line_rule.line_id = said.source_line
),

running as (
    select
        *,
        sum(amount) over so_far as returned,
        floor(sum(counted) over so_far)::bigint as rule_returned,
        row_number() over so_far as position
    from known
    window so_far as (
        partition by group_id, is_named, rule
        order by not is_judged, sold_at, transaction_id, line_id
        rows unbounded preceding
    )
)

select
    running.* exclude (earned, whole, rule_whole, rule_returned, counted),
    case
        when not is_named then least(
            points(rule_returned, numerator, denominator, rounding),
            coalesce(cap_transaction, 1e15::bigint)
        )
        when returned >= whole then earned
        when running.version <> coalesce(rate.version, '')
            then earned - earned::hugeint * (whole - returned) // whole
        when whole - returned < coalesce(least_amount, 0) then earned
        when basis_of = 'order'
            then if(rule_returned > 0 and rule_returned >= rule_whole, earned, 0)
        else earned - least(
            earned, points(greatest(rule_whole - rule_returned, 0), numerator, denominator, rounding)
        )
    end::bigint as owed,
    not is_named or returned >= whole or rate.version is not null as is_exact
from running
left join (select distinct * exclude (tier) from rate) as rate  -- tiers may give alike
    on running.rule = rate.rule and running.version = rate.version
left join rule on running.rule = rule.rule

-- name: taken_back
-- What the ledger has taken back for each group already, whatever the returns are said to be of by now.
create temp table taken_back as
select
    group_id, is_named, rule, customer_id, -sum(points)::bigint as points,
    any_value(rule_version) as version, max(effective_at)[:19]::timestamp as taken_at
from (
    select
        *, coalesce(origin, source_id) as group_id,
        origin is not null or source_line = '(returns)' as is_named
    from posted
    where source_type = 'return'
)
group by group_id, is_named, rule, customer_id

-- name: clawback
insert into event
with due as (
    select
        owed_back.*,
        greatest(owed_back.owed, before.points, judged.owed) as total,
        coalesce(greatest(before.points, judged.owed), 0) as taken
    from owed_back
    left join (
        select group_id, is_named, rule, sum(points)::bigint as points
        from taken_back
        group by group_id, is_named, rule
    ) as before using (group_id, is_named, rule)
    left join (
        select group_id, is_named, rule, max(owed) as owed
        from owed_back
        where is_judged and is_exact
        group by group_id, is_named, rule
    ) as judged using (group_id, is_named, rule)
    where not owed_back.is_judged
)

select
    customer_id,
    concat_ws(':', 'clawback', transaction_id, line_id, rule, if(is_moved, group_id, null)),
    'clawback',
    'return',
    transaction_id,
    line_id,
    rule,
    version,
    lag(total, 1, taken) over (
        partition by group_id, is_named, rule order by position
    ) - total as points,
    amount,
    sold_at,
    if(is_named, group_id, null),
    null
from due
qualify points < 0

-- name: adjust_clawback
-- A return that was corrected, or whose original was, after it was posted: the difference.
insert into event
with handed_over as (  -- returns that name nothing, of a card that is somebody else's by now
    select group_id, rule
    from owed_back inner join taken_back using (group_id, is_named, rule)
    where not is_named and owed_back.customer_id <> taken_back.customer_id and taken_back.points <> 0
),

due as (
    select
        group_id,
        is_named,
        rule,
        any_value(version) as version,
        any_value(customer_id) as customer_id,
        max(sold_at) as sold_at,
        max(returned)::bigint as returned,
        arg_max(owed, position) as points
    from owed_back
    group by group_id, is_named, rule
    having
        bool_or(amount <> posted_basis)
        or bool_or(is_moved and transaction_id in (select transaction_id from touched))
        or group_id in (select transaction_id from corrected)
        or (not is_named and (group_id, rule) in (select group_id, rule from handed_over))
    union all by name
    select  -- nothing comes back of these any more
        group_id, is_named, rule, any_value(version) as version, any_value(customer_id) as customer_id,
        max(taken_at) as sold_at, 0 as returned, 0 as points
    from taken_back
    where
        group_id in (select transaction_id from scope)
        and (group_id, is_named) not in (select (group_id, is_named) from return_line)
    group by group_id, is_named, rule
),

taken as (
    select group_id, is_named, rule, customer_id, sum(points)::bigint as points
    from (
        select group_id, is_named, rule, customer_id, points from taken_back
        union all by name
        select
            owed_back.group_id,
            owed_back.is_named,
            owed_back.rule,
            event.customer_id,
            -event.points as points
        from event
        inner join owed_back
            on
                event.source_id = owed_back.transaction_id
                and event.source_line = owed_back.line_id
                and event.rule = owed_back.rule
        where event.kind = 'clawback'
    )
    group by group_id, is_named, rule, customer_id
),

person as (
    select group_id, is_named, rule, customer_id from due
    union
    select group_id, is_named, rule, customer_id from taken
),

difference as (
    select
        due.* exclude (customer_id, points),
        person.customer_id,
        if(person.customer_id = due.customer_id, due.points, 0) as total,
        coalesce(taken.points, 0) - total as change
    from due
    inner join person using (group_id, is_named, rule)
    left join taken
        on
            due.group_id = taken.group_id
            and due.is_named = taken.is_named
            and due.rule = taken.rule
            and person.customer_id = taken.customer_id
)

select
    difference.customer_id,
    concat_ws(':', 'adjust', group_id, if(is_named, '(returns)', '(return)'), rule, (
        select count(*) from posted where posted.source_id = difference.group_id
    ) + row_number() over (
        partition by group_id order by is_named, rule, difference.customer_id
    ), total),
    'adjust',
    'return',
    group_id,
    if(is_named, '(returns)', '(return)'),
    rule,
    version,
    change,
    returned,
    difference.sold_at,
    if(is_named, group_id, null),
    -- What comes back lasts as long as what was bought.
    if(is_named, local_day(receipt.sold_at), null)
from difference
left join receipt on difference.group_id = receipt.transaction_id
where change <> 0

-- name: losers
select distinct customer_id from event where points < 0

-- name: split
-- Points that cannot be spent yet are `pending`. What is taken back of a receipt takes those first,
-- and where the programme says `only_pending`, a return takes no others.
create or replace temp table event as
with placed as (
    select
        event.* exclude (earned_on),
        coalesce(earned_on, local_day(effective_at)) + getvariable('pending_days')::integer as first_day
    from event
),

gained as (
    select
        * exclude (first_day),
        if(
            getvariable('pending_days') > 0
            and timezone('UTC', timezone(getvariable('zone'), first_day::timestamp))
                > getvariable('as_of'),
            'pending', 'available'
        ) as bucket,
        first_day
    from placed where points > 0
),

supply as (
    select customer_id, origin, rule, sum(points) as points
    from (
        select customer_id, origin, rule, points from known_pending
        union all
        select customer_id, origin, rule, points from gained where bucket = 'pending'
    )
    group by customer_id, origin, rule
),

lost as (
    select
        placed.* exclude (first_day),
        coalesce(supply.points, 0) as supply,
        -sum(placed.points) over (
            partition by placed.customer_id, placed.origin, placed.rule
            order by kind <> 'adjust', if(kind = 'adjust', null, effective_at), idem_key
        ) as upto
    from placed left join supply using (customer_id, origin, rule)
    where placed.points < 0
),

shared as (
    select
        * exclude (supply, upto),
        greatest(least(upto, supply) - least(upto + points, supply), 0)::bigint as of_pending
    from lost
)

select * from gained
union all by name
select * exclude (of_pending) replace (-of_pending as points), 'pending' as bucket, null as first_day
from shared where of_pending > 0
union all by name
select
    * exclude (of_pending)
    replace (points + of_pending as points, if(of_pending > 0, idem_key || ':+', idem_key) as idem_key),
    'available' as bucket,
    null as first_day
from shared
where
    points + of_pending < 0
    and not (getvariable('returns') = 'only_pending' and source_type = 'return')

-- name: asked
select
    customer_id, origin as source_id, rule, -sum(points)::bigint as points,
    concat(strftime(min(effective_at), '%Y-%m-%dT%H:%M:%S'), '+00:00') as effective_at
from event
where points < 0 and bucket = 'available' and origin is not null
group by customer_id, origin, rule

-- name: member
-- `floor_from`: what a clawback may take at most. `within_balance` takes what the member holds;
-- `debt` all that the member was ever issued and that did not end, spent, pending or not, and no more: a return
-- whose purchase nobody can name may be older than the programme.
create or replace temp table member as
select
    owner_id as customer_id,
    coalesce(sum(balance) filter (where bucket = 'available'), 0)
    - coalesce(sum(balance) filter (where bucket = 'debt'), 0) as net,
    coalesce(sum(balance) filter (where bucket = 'debt'), 0) as debt,
    if(getvariable('returns') = 'debt', coalesce(any_value(issued.points), 0), net) as floor_from
from known_account left join issued using (owner_id)
group by owner_id

-- name: forgiven
-- Walking through a member's events in order, what falls below nothing (or below what was there
-- already) is lost. Corrections come first, for they amend what earlier runs posted. What is owed may be as
-- much as this run gives to be spent later.
create or replace temp table event as
with pending as (
    select customer_id, sum(points) as points
    from event where bucket = 'pending' and getvariable('returns') = 'debt' group by customer_id
),

ordered as (
    select
        *,
        row_number() over (
            partition by customer_id
            order by kind <> 'adjust', if(kind = 'adjust', null, effective_at), points desc, idem_key
        ) as position
    from event
    where
        bucket = 'available'
        and customer_id in (select customer_id from event where points < 0 and bucket = 'available')
),

running as (
    select
        ordered.*,
        coalesce(member.floor_from, 0) + coalesce(pending.points, 0) as given,
        least(given, 0) as bottom,
        given + sum(ordered.points) over so_far as net
    from ordered left join member using (customer_id) left join pending using (customer_id)
    window so_far as (partition by customer_id order by position rows unbounded preceding)
),

lost as (
    select
        running.*,
        greatest(bottom - min(net) over (
            partition by customer_id order by position rows unbounded preceding
        ), 0) as lost_so_far
    from running
),

kept as (
    select
        * exclude (given, bottom, net, lost_so_far, position) replace (
            points + lost_so_far - lag(lost_so_far, 1, 0) over (
                partition by customer_id order by position
            ) as points
        )
    from lost
)

select * replace (points::bigint as points) from kept
where points <> 0
union all
select * from event
where
    bucket = 'pending'
    or customer_id not in (select customer_id from event where points < 0 and bucket = 'available')

-- name: debt
-- What a balance cannot pay is borrowed from `debt`; what comes in later pays that back first.
-- One transfer per member and run, keyed after the member's last event.
create temp table debt as
with changed as (
    select
        customer_id,
        greatest(-(any_value(coalesce(net, 0)) + sum(points)), 0)
        - any_value(coalesce(member.debt, 0)) as change
    from event left join member using (customer_id)
    where event.bucket = 'available'
    group by customer_id
    having change <> 0
)

select
    customer_id,
    concat(if(change > 0, 'owe:', 'repay:'), last_key) as idem_key,
    if(change > 0, 'owe', 'repay') as kind,
    last_source as source_id,
    last_type as source_type,
    abs(change)::bigint as amount,
    effective_at
from changed
inner join (
    select
        customer_id,
        arg_max(idem_key, (effective_at, idem_key)) as last_key,
        arg_max(source_id, (effective_at, idem_key)) as last_source,
        arg_max(source_type, (effective_at, idem_key)) as last_type,
        max(effective_at) as effective_at
    from event
    where bucket = 'available' and customer_id in (select customer_id from changed)
    group by customer_id
) as last using (customer_id)

-- name: owner
-- The accounts that are missing, in an order that does not hang on who was quicker.
(
    select customer_id as owner_id, bucket from event
    union
    select customer_id, 'available' from debt
    union
    select customer_id, 'debt' from debt
)
except
select owner_id, bucket from known_account
order by owner_id, bucket

-- name: first_days
-- The days on which points of this run can first be spent, and, where it matters, of whom.
select distinct
    event.first_day,
    if(getvariable('by_joining'), local_day(customers.joined_at), null) as joined_on
from event left join customers using (customer_id)
where event.first_day is not null

-- name: transfer
-- The events as double entry, in the order they happened.
select
    getvariable('programme') as programme,
    idem_key,
    kind,
    debit_id,
    credit_id,
    amount,
    source_type,
    source_id,
    source_line,
    rule,
    rule_version,
    basis,
    concat(strftime(effective_at, '%Y-%m-%dT%H:%M:%S'), '+00:00') as effective_at,
    getvariable('posted_at') as posted_at,
    getvariable('business_date') as business_date,
    reverses,
    activates_at,
    expires_at,
    expires_on
from (
    select
        event.*,
        abs(points) as amount,
        if(points > 0, getvariable('issuance'), own.account_id) as debit_id,
        if(points > 0, own.account_id, getvariable('issuance')) as credit_id,
        if(points < 0, concat('earn:', origin, ':-:', rule), null) as reverses,
        if(event.bucket = 'pending', term.activates_at, null) as activates_at,
        term.expires_at,
        term.expires_on
    from event
    inner join account as own
        on event.customer_id = own.owner_id and event.bucket = own.bucket
    left join customers
        on getvariable('by_joining') and event.customer_id = customers.customer_id
    left join term
        on
            event.first_day = term.first_day
            and local_day(customers.joined_at) is not distinct from term.joined_on
    union all by name
    select
        debt.*,
        '-' as source_line,
        'debt' as rule,
        '-' as rule_version,
        if(kind = 'owe', owing.account_id, available.account_id) as debit_id,
        if(kind = 'owe', available.account_id, owing.account_id) as credit_id
    from debt
    inner join account as available
        on debt.customer_id = available.owner_id and available.bucket = 'available'
    inner join account as owing on debt.customer_id = owing.owner_id and owing.bucket = 'debt'
) as made
order by made.effective_at, points desc nulls last, idem_key

-- name: totals
select
    (select count(*) from receipt) as receipts,
    count(distinct customer_id) as members,
    coalesce(sum(points) filter (where points > 0), 0)::bigint as points_earned,
    coalesce(-sum(points) filter (where points < 0), 0)::bigint as points_clawed_back
from event
