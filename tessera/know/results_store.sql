-- What the results ask of the store; the same text runs on both databases.

-- name: used
select
    redemption_member.customer_id, redemption.receipt_id, redemption.at, voucher_use.code,
    voucher_use.discount, redemption.basket
from voucher_use
inner join redemption on voucher_use.redemption_id = redemption.redemption_id
inner join redemption_member on redemption.redemption_id = redemption_member.redemption_id
where redemption.state = 'used' and redemption.at < :until
order by voucher_use.redemption_id, voucher_use.code

-- name: versions
-- The latest comes last.
select campaign, body from campaign_version order by campaign, first_used_at, version

-- name: sent
-- Marketing and service to whom, by campaign: all that ever left, so it is read in the order in which it lies, not
-- by an index.
select campaign, purpose, customer_id
from outbox
where state || '' in ('accepted', 'ambiguous', 'reconciled') and business_date || '' < :today
