-- What receipts should have earned, against what the ledger says they did. DuckDB; every table
-- here is temporary. `transactions` is the published mart, `rule` the programme's earn rules,
-- `posted` the ledger's transfers of the receipts and returns in scope.

-- name: points
-- Exact: HUGEINT cannot overflow on a product of two 64-bit integers.
create or replace macro points(money, numerator, denominator, rounding) as (
    case rounding
        when 'up' then (money::hugeint * numerator + denominator - 1) // denominator
        when 'nearest' then (2 * money::hugeint * numerator + denominator) // (2 * denominator)
        else money::hugeint * numerator // denominator
    end
)::bigint

-- name: line
-- The lines that may earn: of the programme's currency, and sold before the instant we act as of.
create temp view line as
select transaction_id, line_id, original_transaction_id, customer_id, kind, amount, sold_at, file_id
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

-- name: receipt
create temp table receipt as
select
    transaction_id,
    min(customer_id) as customer_id,
    max(sold_at) as sold_at,
    greatest(coalesce(sum(amount) filter (where kind = 'sale'), 0), 0)::bigint as amount
from line semi join scope using (transaction_id)
group by transaction_id

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

-- name: event
-- One row per transfer to post; points are signed.
create temp table event (
    customer_id varchar, idem_key varchar, kind varchar, source_type varchar, source_id varchar,
    source_line varchar, rule varchar, rule_version varchar, points bigint, basis bigint,
    effective_at timestamp
)

-- name: first_earn
-- A receipt the ledger knows nothing of earns by the rules in force.
insert into event
select
    receipt.customer_id,
    concat('earn:', receipt.transaction_id, ':-:', rule.rule),
    'earn',
    'receipt',
    receipt.transaction_id,
    '-',
    rule.rule,
    rule.version,
    points(receipt.amount, rule.points, rule.per, rule.rounding) as gained,
    receipt.amount,
    receipt.sold_at
from receipt cross join rule
where
    receipt.customer_id is not null
    and gained > 0
    and receipt.transaction_id not in (select source_id from posted where source_type = 'receipt')

-- name: corrected
-- Receipts that earned on another amount, or for another customer, than they now show.
create temp table corrected as
select receipt.transaction_id, receipt.customer_id, receipt.amount, receipt.sold_at
from receipt
inner join (
    select
        source_id,
        arg_max(basis, transfer_id) as basis,
        count(*) as transfers
    from posted
    where source_type = 'receipt'
    group by source_id
) as last_judged on receipt.transaction_id = last_judged.source_id
where
    receipt.amount <> last_judged.basis
    or receipt.transaction_id in (
        select posted.source_id
        from posted inner join receipt as shown on posted.source_id = shown.transaction_id
        where posted.source_type = 'receipt' and posted.customer_id is distinct from shown.customer_id
        group by posted.source_id, posted.customer_id
        having sum(posted.points) <> 0
    )

-- name: adjust_earn
-- A corrected receipt is judged again by the rules in force; the difference is a transfer of its
-- own, numbered after those that are there.
insert into event
with due as (
    select
        corrected.transaction_id,
        corrected.customer_id,
        rule.rule,
        rule.version,
        points(corrected.amount, rule.points, rule.per, rule.rounding) as points
    from corrected cross join rule
    where corrected.customer_id is not null
),

given as (
    select
        source_id as transaction_id,
        customer_id,
        rule,
        max(rule_version) as version,
        sum(points)::bigint as points
    from posted
    where source_type = 'receipt'
    group by source_id, customer_id, rule
),

difference as (
    select
        transaction_id,
        customer_id,
        rule,
        coalesce(due.version, given.version) as version,
        coalesce(due.points, 0) as total,
        coalesce(due.points, 0) - coalesce(given.points, 0) as change
    from due full outer join given using (transaction_id, customer_id, rule)
    where change <> 0 and transaction_id in (select transaction_id from corrected)
),

numbered as (
    select
        difference.*,
        (select count(*) from posted where posted.source_id = difference.transaction_id)
        + row_number() over (partition by transaction_id order by rule, customer_id) as number
    from difference
)

select
    numbered.customer_id,
    concat_ws(':', 'adjust', numbered.transaction_id, '-', rule, number, total),
    'adjust',
    'receipt',
    numbered.transaction_id,
    '-',
    rule,
    version,
    change,
    corrected.amount,
    corrected.sold_at
from numbered inner join corrected using (transaction_id)

-- name: earned
-- What each receipt with returns has earned, this run's transfers included.
create temp table earned as
select source_id as transaction_id, rule, max(rule_version) as version, sum(points)::bigint as points
from (
    select source_id, rule, rule_version, points from posted where source_type = 'receipt'
    union all by name
    select source_id, rule, rule_version, points from event where source_type = 'receipt'
)
where source_id in (select group_id from return_line)
group by source_id, rule

-- name: owed_back
-- What the returns of a group should have taken back, in all, after each of its lines: points of
-- the whole less points of what was kept, so that rounding cannot drift and no receipt gives back
-- more than it earned. Lines the ledger has come first, for what is posted stays posted. Where the
-- rule was changed since, the share that was kept counts.
create temp table owed_back as
with line_rule as (
    select
        return_line.* exclude (customer_id),
        receipt.customer_id,
        receipt.amount as whole,
        earned.rule,
        earned.version,
        earned.points as earned
    from return_line
    inner join receipt on return_line.group_id = receipt.transaction_id
    inner join earned on receipt.transaction_id = earned.transaction_id
    where return_line.is_named and receipt.customer_id is not null
    union all by name
    select return_line.*, null as whole, rule.rule, rule.version, null as earned
    from return_line cross join rule
    where not return_line.is_named and return_line.customer_id is not null
),

running as (
    select
        line_rule.*,
        posted_line.source_id is not null as is_posted,
        posted_line.basis as posted_basis,
        sum(line_rule.amount) over so_far as returned,
        row_number() over so_far as position
    from line_rule
    left join (
        select source_id, source_line, arg_max(basis, transfer_id) as basis
        from posted
        where kind = 'clawback'
        group by source_id, source_line
    ) as posted_line
        on
            line_rule.transaction_id = posted_line.source_id
            and line_rule.line_id = posted_line.source_line
    window so_far as (
        partition by line_rule.group_id, line_rule.is_named, line_rule.rule
        order by
            posted_line.source_id is null,
            line_rule.sold_at,
            line_rule.transaction_id,
            line_rule.line_id
        rows unbounded preceding
    )
)

select
    running.* exclude (earned, whole),
    case
        when not is_named then points(returned, rule.points, rule.per, rule.rounding)
        when running.version = rule.version
            then least(
                earned,
                points(whole, rule.points, rule.per, rule.rounding)
                - points(greatest(whole - returned, 0), rule.points, rule.per, rule.rounding)
            )
        when whole = 0 then earned
        else earned - earned::hugeint * greatest(whole - returned, 0) // whole
    end::bigint as owed
from running left join rule using (rule)

-- name: taken_back
-- What the ledger has taken back for each group already.
create temp table taken_back as
select group_id, is_named, rule, posted.customer_id, -sum(posted.points)::bigint as points
from posted
inner join (
    select distinct transaction_id as source_id, line_id as source_line, group_id, is_named
    from return_line
    union all
    select distinct group_id, if(is_named, '(returns)', '(return)'), group_id, is_named
    from return_line
) as source using (source_id, source_line)
where posted.source_type = 'return'
group by group_id, is_named, rule, posted.customer_id

-- name: clawback
insert into event
with due as (
    select
        owed_back.*,
        greatest(owed_back.owed, coalesce(before.points, 0)) as total,
        coalesce(before.points, 0) as taken
    from owed_back
    left join (
        select group_id, is_named, rule, sum(points)::bigint as points
        from taken_back
        group by group_id, is_named, rule
    ) as before using (group_id, is_named, rule)
    where not owed_back.is_posted
)

select
    customer_id,
    concat('clawback:', transaction_id, ':', line_id, ':', rule),
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
    sold_at
from due
qualify points < 0

-- name: adjust_clawback
-- A return that was corrected, or whose original was, after it was posted: the difference.
insert into event
with due as (
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
        or any_value(group_id) in (select transaction_id from corrected)
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
    customer_id,
    concat_ws(':', 'adjust', group_id, if(is_named, '(returns)', '(return)'), rule, (
        select count(*) from posted where posted.source_id = difference.group_id
    ) + row_number() over (partition by group_id order by is_named, rule, customer_id), total),
    'adjust',
    'return',
    group_id,
    if(is_named, '(returns)', '(return)'),
    rule,
    version,
    change,
    returned,
    sold_at
from difference
where change <> 0

-- name: losers
select distinct customer_id from event where points < 0

-- name: member
-- `floor_from`: what a clawback may take at most. `within_balance` takes what the member holds;
-- `debt` all that the member was ever issued, spent or not, and no more: a return whose purchase
-- nobody can name may be older than the programme.
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
-- already) is lost. Corrections come first, for they amend what earlier runs posted.
create or replace temp table event as
with ordered as (
    select
        *,
        row_number() over (
            partition by customer_id
            order by kind <> 'adjust', if(kind = 'adjust', null, effective_at), points desc, idem_key
        ) as position
    from event
    where customer_id in (select customer_id from event where points < 0)
),

running as (
    select
        ordered.*,
        least(coalesce(member.floor_from, 0), 0) as bottom,
        coalesce(member.floor_from, 0) + sum(ordered.points) over so_far as net
    from ordered left join member using (customer_id)
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
        * exclude (bottom, net, lost_so_far, position) replace (
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
where customer_id not in (select customer_id from event where points < 0)

-- name: debt
-- What a balance cannot pay is borrowed from `debt`; what comes in later pays that back first.
-- One transfer per member and run, keyed after the member's last event.
create temp table debt as
select
    customer_id,
    concat(if(change > 0, 'owe:', 'repay:'), last_key) as idem_key,
    if(change > 0, 'owe', 'repay') as kind,
    last_source as source_id,
    last_type as source_type,
    abs(change)::bigint as amount,
    effective_at
from (
    select
        customer_id,
        greatest(-(any_value(coalesce(net, 0)) + sum(points)), 0)
        - any_value(coalesce(member.debt, 0)) as change,
        arg_max(idem_key, (effective_at, idem_key)) as last_key,
        arg_max(source_id, (effective_at, idem_key)) as last_source,
        arg_max(source_type, (effective_at, idem_key)) as last_type,
        max(effective_at) as effective_at
    from event left join member using (customer_id)
    group by customer_id
)
where change <> 0

-- name: owner
select customer_id as owner_id, 'available' as bucket from event
union
select customer_id, 'debt' from debt

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
    getvariable('business_date') as business_date
from (
    select
        event.*,
        abs(points) as amount,
        if(points > 0, getvariable('issuance'), available.account_id) as debit_id,
        if(points > 0, available.account_id, getvariable('issuance')) as credit_id
    from event
    inner join account as available
        on event.customer_id = available.owner_id and available.bucket = 'available'
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
)
order by effective_at, points desc nulls last, idem_key

-- name: totals
select
    (select count(*) from receipt) as receipts,
    count(distinct customer_id) as members,
    coalesce(sum(points) filter (where points > 0), 0)::bigint as points_earned,
    coalesce(-sum(points) filter (where points < 0), 0)::bigint as points_clawed_back
from event
