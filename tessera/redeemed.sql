-- name: latest
-- When somebody last spent points, used a voucher, or had one used that was given to them, with or without a card.
-- Points that the night made a voucher of are not spent by anybody yet. Each part is told whom it is about: of an
-- outer condition SQLite would first make everybody's.
select customer_id, max(redeemed_at) as redeemed_at
from (
    select account.owner_id as customer_id, transfer.effective_at as redeemed_at
    from transfer
    inner join account on account.account_id = transfer.debit_id
    where
        transfer.kind = 'redeem' and transfer.source_type <> 'reward'
        and account.owner_type = 'member' and {owner}
    union all
    select redemption_member.customer_id, redemption.at
    from voucher_use
    inner join redemption on voucher_use.redemption_id = redemption.redemption_id
    inner join redemption_member on redemption.redemption_id = redemption_member.redemption_id
    where redemption.state = 'used' and {member}
    union all
    select outbox.customer_id, redemption.at
    from voucher_use
    inner join redemption on voucher_use.redemption_id = redemption.redemption_id
    inner join reward_grant on voucher_use.code = reward_grant.code
    inner join outbox on reward_grant.send_key = outbox.send_key
    where redemption.state = 'used' and {reader}
) as redeemed
group by customer_id
