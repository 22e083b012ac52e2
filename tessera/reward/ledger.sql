-- The ledger in the store; the same text runs on SQLite and PostgreSQL. CROSS JOIN makes SQLite
-- begin with the few ids wanted rather than walk the ledger.

-- name: want
create temporary table wanted (id text)

-- name: drop_wanted
drop table wanted

-- name: posted
-- What receipts and returns have earned a member so far; points are signed. Those of somebody who
-- was found to be another member are the other's. `origin`: the receipt that a return was said to be of.
select
    transfer.transfer_id,
    transfer.source_type,
    transfer.source_id,
    transfer.source_line,
    transfer.kind,
    transfer.rule,
    transfer.rule_version,
    transfer.basis,
    case when credit.owner_type = 'member' then transfer.amount else -transfer.amount end as points,
    coalesce(
        merged.into_customer_id,
        case when credit.owner_type = 'member' then credit.owner_id else debit.owner_id end
    ) as customer_id,
    transfer.effective_at,
    case when transfer.kind = 'clawback' then nullif(substr(
        transfer.reverses, 6, length(transfer.reverses) - 5 - length(':-:' || transfer.rule)
    ), '') end as origin
from wanted cross join transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
left join points_merge as merged
    on
        transfer.programme = merged.programme
        and merged.customer_id
        = case when credit.owner_type = 'member' then credit.owner_id else debit.owner_id end
where
    transfer.source_id = wanted.id and transfer.source_type <> 'transfer'
    and transfer.programme = :programme
    and transfer.kind in ('earn', 'clawback', 'adjust')

-- name: accounts
select account.owner_id, account.bucket, account.account_id, account.balance
from wanted cross join account
where
    account.owner_id = wanted.id
    and account.programme = :programme
    and account.owner_type = 'member'

-- name: holding
-- The accounts of the members wanted, and of who was found to be them.
kin as (
    select id as customer_id, id as owner_id from wanted
    union
    select points_merge.into_customer_id, points_merge.customer_id
    from wanted cross join points_merge
    where points_merge.into_customer_id = wanted.id and points_merge.programme = :programme
),

holding as (
    select kin.customer_id, account.account_id, account.bucket
    from kin cross join account
    where
        account.owner_id = kin.owner_id and account.programme = :programme
        and account.owner_type = 'member' and account.bucket in ('available', 'pending')
)

-- name: issued
-- What each of the members wanted, and who was found to be them, was ever given, less what was taken
-- back or ended; spending and holding do not count, nor what a household shared. What cannot be spent yet does.
with {holding},

leg as (
    select holding.customer_id, transfer.amount as points, transfer.debit_id as other_id, transfer.kind
    from holding cross join transfer
    where transfer.credit_id = holding.account_id
    union all
    select holding.customer_id, -transfer.amount, transfer.credit_id, transfer.kind
    from holding cross join transfer
    where
        transfer.debit_id = holding.account_id
        and not (transfer.kind = 'expire' and exists (
            select 1
            from lot_move inner join transfer as given on lot_move.lot_id = given.transfer_id
            where lot_move.transfer_id = transfer.transfer_id and given.kind = 'pool'
        ))
)

select leg.customer_id as owner_id, cast(sum(leg.points) as bigint) as points
from leg cross join account as other
where
    other.account_id = leg.other_id and leg.kind <> 'pool'
    and other.bucket in ('issuance', 'pending', 'available', 'breakage')
group by leg.customer_id

-- name: pending
-- Points of the members wanted that cannot be spent yet, by the receipt that earned them.
select
    account.owner_id as customer_id, given.source_id as origin, given.rule,
    cast(sum(lot.remaining) as bigint) as points
from wanted cross join account
inner join lot on account.account_id = lot.account_id
inner join transfer as given on lot.lot_id = given.transfer_id
where
    account.owner_id = wanted.id and account.programme = :programme
    and account.owner_type = 'member' and account.bucket = 'pending'
    and lot.remaining > 0 and given.source_type = 'receipt'
group by account.owner_id, given.source_id, given.rule

-- name: given_before
-- What the rules gave the members wanted, and those who were found to be them, less what was taken back
-- of it since: of which receipt, each at its time.
with {holding},

leg as (
    select holding.customer_id, transfer.*, transfer.amount as points
    from holding cross join transfer
    where transfer.credit_id = holding.account_id
    union all
    select holding.customer_id, transfer.*, -transfer.amount
    from holding cross join transfer
    where transfer.debit_id = holding.account_id
)

select
    leg.customer_id, leg.rule, coalesce(given.source_id, leg.source_id) as origin,
    coalesce(given.effective_at, leg.effective_at) as effective_at, leg.points
from leg
left join transfer as given
    on
        leg.kind = 'clawback' and leg.reverses = given.idem_key and given.programme = :programme
where
    leg.kind in ('earn', 'adjust', 'clawback')
    and leg.rule in (select value from {rules})

-- name: budget_before
select
    transfer.rule,
    cast(sum(
        case when credit.owner_type = 'member' then transfer.amount else -transfer.amount end
    ) as bigint) as points
from transfer
inner join account as credit on transfer.credit_id = credit.account_id
where
    transfer.programme = :programme and transfer.kind in ('earn', 'adjust', 'clawback')
    and transfer.rule in (select value from {rules})
group by transfer.rule

-- name: known_tier
select customer_id, tier from (
    select
        customer_id, tier,
        row_number() over (
            partition by customer_id order by business_date desc, position desc
        ) as place
    from tier_move where programme = :programme
) as moves
where place = 1

-- name: open_issuance
insert into account (programme, owner_type, owner_id, bucket)
values (:programme, 'system', 'programme', 'issuance')
on conflict do nothing

-- name: issuance
select account_id from account
where programme = :programme and owner_type = 'system' and bucket = 'issuance'

-- name: last_transfer
select coalesce(max(transfer_id), 0) from transfer

-- name: last_account
select coalesce(max(account_id), 0) from account

-- name: move_balances
-- Exactly what the `posted` moved. `debt` counts what a member owes, so it grows by debits; every other
-- bucket by credits.
update account
set balance = balance + case when bucket = 'debt' then -moved.points else moved.points end
from (
    select account_id, sum(points) as points
    from (
        select credit_id as account_id, amount as points from {posted}
        union all
        select debit_id, -amount from {posted}
    ) as leg
    group by account_id
) as moved
where account.account_id = moved.account_id and account.balance is not null

-- name: cursor
select as_of, asserted_id, asserted from reward_cursor where programme = :programme

-- name: set_cursor
insert into reward_cursor (programme, as_of, asserted_id, asserted)
values (:programme, :as_of, :asserted_id, :asserted)
on conflict (programme) do update
set as_of = excluded.as_of, asserted_id = excluded.asserted_id, asserted = excluded.asserted

-- name: seen_files
select file_id from reward_file where programme = :programme

-- name: tie_out
-- What members gained, less what they lost, by the transfers since `after`: that is what the few
-- accounts of the system paid, less what they got. And all that members hold less all they owe. One
-- statement, so that all is of one instant.
with system_account as (
    select account_id from account
    where programme = :programme and owner_type = 'system'
)

select
    (
        select coalesce(sum(amount), 0) from transfer
        where transfer_id > :after and debit_id in (select account_id from system_account)
    ) - (
        select coalesce(sum(amount), 0) from transfer
        where transfer_id > :after and credit_id in (select account_id from system_account)
    ) as moved,
    (
        select coalesce(sum(case when bucket = 'debt' then -balance else balance end), 0)
        from account where programme = :programme and owner_type = 'member'
    ) as held,
    (select coalesce(max(transfer_id), 0) from transfer) as last_id

-- name: assert_balance
insert into balance_assertion (programme, business_date, expected, actual, at)
values (:programme, :business_date, :expected, :actual, :at)
on conflict (programme, business_date) do update
set expected = excluded.expected, actual = excluded.actual, at = excluded.at

-- name: balance
select bucket, balance from account
where programme = :programme and owner_type = 'member' and owner_id = :customer_id
order by bucket

-- name: statement
with own as (
    select account_id from account
    where programme = :programme and owner_type = 'member' and owner_id = :customer_id
)

select
    transfer.effective_at,
    transfer.kind,
    debit.owner_type || ' ' || debit.bucket as debit,
    credit.owner_type || ' ' || credit.bucket as credit,
    case when credit.bucket = 'available' and credit.owner_id = :customer_id then transfer.amount
        when debit.bucket = 'available' and debit.owner_id = :customer_id then -transfer.amount
        else 0 end as points,
    transfer.basis,
    transfer.rule,
    transfer.source_id,
    transfer.business_date,
    transfer.idem_key
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
where
    transfer.transfer_id in (
        select transfer_id from transfer where debit_id in (select account_id from own)
        union
        select transfer_id from transfer where credit_id in (select account_id from own)
    )
order by transfer.transfer_id

-- name: ending
select lot.expires_on, sum(lot.remaining) as points
from lot inner join account on lot.account_id = account.account_id
where
    account.programme = :programme and account.owner_type = 'member'
    and account.owner_id = :customer_id and account.bucket = 'available'
    and lot.remaining > 0 and lot.expires_on is not null
group by lot.expires_on
order by lot.expires_on

-- name: history
select
    mover.effective_at, mover.kind, moved.points, mover.idem_key, mover.rule, mover.rule_version,
    mover.business_date, mover.actor, mover.reason
from transfer as given
inner join (
    select transfer_id as lot_id, transfer_id, amount as points from transfer
    where programme = :programme and idem_key = :key
    union all
    select lot_move.lot_id, lot_move.transfer_id, lot_move.delta
    from transfer inner join lot_move on transfer.transfer_id = lot_move.lot_id
    where transfer.programme = :programme and transfer.idem_key = :key
    union all
    select transfer.transfer_id, activation.transfer_id, 0
    from transfer inner join transfer as activation
        on activation.idem_key = 'activate:' || transfer.idem_key
            and activation.programme = transfer.programme
    where transfer.programme = :programme and transfer.idem_key = :key
    union all
    select transfer.transfer_id, revival.transfer_id, 0
    from transfer inner join transfer as revival
        on revival.reverses = transfer.idem_key
            and revival.programme = transfer.programme and revival.kind = 'revive'
    where transfer.programme = :programme and transfer.idem_key = :key
) as moved on given.transfer_id = moved.lot_id
inner join transfer as mover on moved.transfer_id = mover.transfer_id
order by moved.transfer_id

-- name: elsewhere
-- Points of members in ledgers of other programmes.
select programme, count(distinct owner_id) as members, sum(balance) as points
from account
where
    programme <> :programme and owner_type = 'member' and bucket <> 'debt' and balance > 0
group by programme
order by programme

-- name: wrong_balances
-- Every member account whose stored balance is not the sum of its transfers.
select account.owner_id, account.bucket, account.balance, coalesce(leg.points, 0) as transfers
from account
left join (
    select account_id, sum(points) as points
    from (
        select credit_id as account_id, amount as points from transfer
        union all
        select debit_id, -amount from transfer
    ) as both_sides
    group by account_id
) as leg on account.account_id = leg.account_id
where
    account.programme = :programme
    and account.balance is not null
    and account.balance
    <> coalesce(case when account.bucket = 'debt' then -leg.points else leg.points end, 0)
order by account.owner_id, account.bucket

-- name: audit_totals
select
    (select count(*) from account where programme = :programme) as accounts,
    (select count(*) from transfer where programme = :programme) as transfers,
    (
        select coalesce(sum(balance), 0) from account
        where programme = :programme and owner_type = 'member' and bucket = 'available'
    ) as available,
    (
        select coalesce(sum(balance), 0) from account
        where programme = :programme and owner_type = 'member' and bucket = 'debt'
    ) as debt

-- name: last_assertion
select business_date, expected, actual from balance_assertion
where programme = :programme
order by at desc limit 1

-- name: earns_by_rule
-- Earn transfers of one version of a rule whose amount is not what that rule makes of their basis,
-- or, where there are caps, is more.
select transfer.idem_key, transfer.basis, transfer.amount
from transfer
where
    transfer.programme = :programme
    and transfer.kind = 'earn'
    and transfer.rule = :rule
    and transfer.rule_version = :version
    and (
        transfer.amount > (transfer.basis * :points + :add) / :per
        or (:is_capped = 0 and transfer.amount < (transfer.basis * :points + :add) / :per)
    )
order by transfer.transfer_id
