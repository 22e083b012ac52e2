-- name: voucher
select
    voucher.reward, voucher.batch, voucher.customer_id, voucher.uses, voucher.valid_from,
    voucher.valid_until, voucher.withdrawn_at,
    (select body from voucher_terms where voucher_terms.terms = voucher.terms) as body,
    (
        select person_merge.into_customer_id from person_merge
        where person_merge.customer_id = voucher.customer_id and person_merge.is_in_force = 1
    ) as merged_into,
    (
        select coalesce(outbox.state, 'accepted') -- erased since
        from reward_grant
        left join outbox on reward_grant.send_key = outbox.send_key
        where reward_grant.code = voucher.code
    ) as message_state
from voucher
where voucher.code = :code
{lock}

-- name: taken
select count(*)
from voucher_use
inner join redemption on voucher_use.redemption_id = redemption.redemption_id
where
    voucher_use.code = :code
    and (redemption.state = 'used' or (redemption.state = 'held' and redemption.held_until > :at))

-- name: use
insert into voucher_use (redemption_id, code, discount) values (:redemption_id, :code, :discount)

-- name: of_redemption
select voucher_use.discount, voucher_terms.body
from voucher_use
inner join voucher on voucher_use.code = voucher.code
inner join voucher_terms on voucher.terms = voucher_terms.terms
where voucher_use.redemption_id = :redemption_id
order by voucher_use.code
