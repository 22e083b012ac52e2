-- Households; the same text runs on SQLite and PostgreSQL.

-- name: lock
select account_id from account
where
    programme = :programme and owner_type = 'member'
    and owner_id in (
        select :customer_id
        union
        select other.customer_id
        from member as own inner join member as other on own.household_id = other.household_id
        where own.customer_id = :customer_id
    )
order by account_id

-- name: others
select
    coalesce(sum(
        case when account.bucket = 'debt' then -account.balance
            when other.customer_id = :customer_id then 0
            else (
                select coalesce(sum(lot.remaining), 0) from lot
                where
                    lot.account_id = account.account_id and lot.remaining > 0
                    and (lot.expires_at is null or lot.expires_at > :at)
            ) end
    ), 0)
from member as own
inner join member as other on own.household_id = other.household_id
inner join account on other.customer_id = account.owner_id
where
    own.customer_id = :customer_id and account.programme = :programme
    and account.owner_type = 'member' and account.bucket in ('available', 'debt')

-- name: lots
-- Those of the others, what ends first before all else; how often each was drawn from before.
select
    given.idem_key, given.source_type, given.source_id, given.rule, given.rule_version,
    lot.account_id, lot.remaining, lot.expires_at, lot.expires_on,
    (
        select count(*) from transfer as earlier
        where
            earlier.reverses = given.idem_key and earlier.programme = given.programme
            and earlier.kind = 'pool'
    ) as before
from member as own
inner join member as other on own.household_id = other.household_id
inner join account on other.customer_id = account.owner_id
inner join lot on account.account_id = lot.account_id
inner join transfer as given on lot.lot_id = given.transfer_id
where
    own.customer_id = :customer_id and other.customer_id <> :customer_id
    and account.programme = :programme and account.owner_type = 'member'
    and account.bucket = 'available' and lot.remaining > 0
    and (lot.expires_at is null or lot.expires_at > :at)
order by (lot.expires_at is null), lot.expires_at, lot.earned_at, lot.lot_id
