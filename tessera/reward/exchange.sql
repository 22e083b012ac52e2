-- Points that become vouchers; the same text runs on SQLite and PostgreSQL.

-- name: rich
-- Who has enough, and how many they were given before.
select
    account.owner_id, account.account_id, account.balance,
    (
        select count(*) from transfer
        where
            transfer.debit_id = account.account_id and transfer.source_type = 'reward'
            and transfer.source_id = :reward
    ) as before
from account
where
    account.programme = :programme and account.owner_type = 'member'
    and account.bucket = 'available' and account.balance >= :points
order by account.owner_id
limit :most

-- name: open_redeemed
insert into account (programme, owner_type, owner_id, bucket)
values (:programme, 'system', 'programme', 'redeemed')
on conflict do nothing

-- name: redeemed
select account_id from account
where programme = :programme and owner_type = 'system' and bucket = 'redeemed'
