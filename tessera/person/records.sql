-- `account` to `suppression`, and `on_its_way`, go on with ` in (…)`.

-- name: account
select * from account where owner_type = 'member' and owner_id

-- name: transfer
select distinct transfer.*
from transfer
inner join account
    on account.account_id = transfer.debit_id or account.account_id = transfer.credit_id
where account.owner_type = 'member' and account.owner_id

-- name: lot
-- A lot has the number of the transfer that made it; by account only those are found that have points left.
select distinct lot.*
from account
cross join transfer
inner join lot on lot.lot_id = transfer.transfer_id
inner join account as holder on holder.account_id = lot.account_id
where
    (transfer.debit_id = account.account_id or transfer.credit_id = account.account_id)
    and holder.owner_type = account.owner_type and holder.owner_id = account.owner_id
    and account.owner_type = 'member' and account.owner_id

-- name: suppression
select * from suppression where address_hash

-- name: rename_accounts
update account set owner_id = :nobody
where owner_type = 'member' and owner_id = :customer_id

-- `keep_given` to `disown` go on with ` in (…)`.

-- name: keep_given
-- What left with a code has given it, whoever it was to: no pool gives it again, and limits count it.
update reward_grant set send_key = 'erased:' || code
where
    exists (
        select 1 from outbox
        where
            outbox.send_key = reward_grant.send_key
            and (
                outbox.state in ('accepted', 'ambiguous', 'reconciled')
                or outbox.state_reason = 'cancelled_at_provider'
            )
    )
    and send_key

-- name: withdraw_unsent
-- A code that was made for a message that never left; a pool's is free again.
update voucher set withdrawn_at = :at
from reward_grant
where
    voucher.code = reward_grant.code and voucher.batch is null and voucher.withdrawn_at is null
    and reward_grant.send_key

-- name: disown
-- A code of theirs alone is nobody's from now on. It stays: a return is reckoned by its terms, and the file it
-- came in brings it back to no pool.
update voucher set
    customer_id = null,
    withdrawn_at = case
        when withdrawn_at is not null then withdrawn_at
        when batch is null then :at
        when exists (
            select 1 from reward_grant where reward_grant.send_key = 'erased:' || voucher.code
        ) then :at
    end
where customer_id

-- name: forget_answer
update till_request set answer = replace(answer, :card, :gone)
where replace(answer, :card, '') <> answer

-- name: suppress
insert into suppression (address_hash, channel, scope, cause, since)
values (:address_hash, :channel, 'all', 'erased', :at)
on conflict do nothing

-- name: triggers
select name, sql from sqlite_master where type = 'trigger' and tbl_name = :name

-- name: on_its_way
select message_id from outbox where state = 'calling' and customer_id

-- name: begin
insert into erasure (person, operator, begun_at, counts)
values (:person, :operator, :at, :counts)
on conflict do nothing

-- name: finish
update erasure set finished_at = :at where person = :person and finished_at is null

-- name: proof
select person, operator, begun_at, finished_at, counts from erasure where person = :person

-- name: files
select file_id, feed, rows, verdict, good_rows, bad_rows from landed_file

-- name: recount
update landed_file set rows = :rows, good_rows = :good_rows, bad_rows = :bad_rows
where file_id = :file_id

-- name: readmissions
select file_id, row_number from readmission

-- name: forget_readmission
delete from readmission where file_id = :file_id and row_number = :row_number

-- name: engine_file
update landed_file set content_hash = :new
where source = 'engine' and feed = :feed and content_hash = :old
