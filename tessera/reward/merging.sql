-- One member's points become another's; the same text runs on SQLite and PostgreSQL.

-- name: lock
select account_id, owner_id, bucket from account
where
    programme = :programme and owner_type = 'member' and owner_id in (:customer_id, :into)
order by account_id

-- name: move
-- Lot by lot, so that each keeps its own end: all of them, or those that a merge brought from `only`.
insert into transfer (
    programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule,
    rule_version, effective_at, posted_at, business_date, reverses, activates_at, expires_at,
    expires_on, actor
)
select
    :programme,
    'merge:' || given.idem_key || ':' || (
        select count(*) from transfer as earlier
        where
            earlier.reverses = given.idem_key and earlier.programme = given.programme
            and earlier.kind = 'merge'
    ),
    'merge', own.account_id, theirs.account_id, lot.remaining, given.source_type, given.source_id,
    given.rule, given.rule_version, :at, :at, :business_date, given.idem_key, lot.activates_at,
    lot.expires_at, lot.expires_on, :actor
from account as own
inner join account as theirs on own.programme = theirs.programme and own.bucket = theirs.bucket
inner join lot on own.account_id = lot.account_id
inner join transfer as given on lot.lot_id = given.transfer_id
where
    own.programme = :programme and own.owner_type = 'member' and own.owner_id = :customer_id
    and theirs.owner_type = 'member' and theirs.owner_id = :into and lot.remaining > 0
    and (
        cast(:only as text) is null
        or (
            given.kind = 'merge'
            and given.debit_id in (
                select account_id from account
                where
                    programme = :programme and owner_type = 'member'
                    and owner_id = cast(:only as text)
            )
        )
    )
order by given.idem_key

-- name: moved
select transfer_id, debit_id, credit_id, amount from transfer
where transfer_id > :before and kind = 'merge' and debit_id in (:available, :pending)
order by transfer_id

-- name: take_lots
insert into lot_move (transfer_id, lot_id, delta)
select transfer.transfer_id, given.transfer_id, -transfer.amount
from transfer
inner join transfer as given
    on transfer.reverses = given.idem_key and transfer.programme = given.programme
where transfer.transfer_id between :first and :last and transfer.kind in ('merge', 'pool')

-- name: give_lots
insert into lot (lot_id, account_id, amount, remaining, earned_at, activates_at, expires_at, expires_on)
select
    transfer.transfer_id, transfer.credit_id, transfer.amount, transfer.amount, lot.earned_at,
    lot.activates_at, lot.expires_at, lot.expires_on
from transfer
inner join transfer as given
    on transfer.reverses = given.idem_key and transfer.programme = given.programme
inner join lot on given.transfer_id = lot.lot_id
where transfer.transfer_id between :first and :last and transfer.kind in ('merge', 'pool', 'revive')

-- name: last_key
select idem_key from transfer where debit_id = :account_id or credit_id = :account_id
order by transfer_id desc limit 1

-- name: remember
insert into points_merge (programme, customer_id, into_customer_id, merged_at)
values (:programme, :customer_id, :into, :at)
on conflict (programme, customer_id) do update
set into_customer_id = excluded.into_customer_id, merged_at = excluded.merged_at

-- name: follow
update points_merge set into_customer_id = :into
where programme = :programme and into_customer_id = :customer_id

-- name: forget_own
delete from points_merge where programme = :programme and customer_id = :into

-- name: brought
-- What a member owed when they became another, less what went back.
select coalesce(
    sum(case when debit_id = :theirs and credit_id = :own then amount
        when debit_id = :own and credit_id = :theirs then -amount else 0 end), 0
)
from transfer
where kind = 'merge' and debit_id in (:own, :theirs)

-- name: undone
-- Members who went to somebody whom they no longer are: they are two again, or the one is another by now.
-- Whom they were said to be may have become somebody else since.
select points_merge.customer_id, points_merge.into_customer_id
from points_merge
inner join person_merge on points_merge.customer_id = person_merge.customer_id
left join points_merge as onward
    on
        points_merge.programme = onward.programme
        and person_merge.into_customer_id = onward.customer_id
where
    points_merge.programme = :programme
    and (person_merge.is_in_force = 1) = (
        points_merge.into_customer_id
        <> coalesce(onward.into_customer_id, person_merge.into_customer_id)
    )
order by points_merge.customer_id

-- name: due
-- Members who were found to be somebody else, and who still have points, or owe some, since.
select distinct merged.customer_id, merged.into_customer_id as into_id
from (
    select customer_id, into_customer_id from person_merge where is_in_force = 1
    union
    select customer_id, into_customer_id from points_merge where programme = :programme
) as merged
inner join account on merged.customer_id = account.owner_id
where
    account.programme = :programme and account.owner_type = 'member'
    and account.bucket in ('available', 'pending', 'debt')
    and (
        account.balance > 0
        or merged.customer_id not in (
            select customer_id from points_merge where programme = :programme
        )
    )
order by merged.customer_id

-- name: unnamed
-- Members who were merged into nobody yet.
select distinct owner_id from account
where
    programme = :programme and owner_type = 'member' and bucket = 'available'
    and owner_id not in (select customer_id from points_merge where programme = :programme)

-- name: owners_of_cards
-- A member whose number happens to be that of somebody's card is still themselves.
select unnamed.owner_id as customer_id, card_owners.customer_id as into_id
from unnamed inner join card_owners on unnamed.owner_id = card_owners.card_id
where
    card_owners.customer_id <> unnamed.owner_id
    and unnamed.owner_id not in (select customer_id from customers)
    and unnamed.owner_id not in (select customer_id from card_owners)
order by all
