-- What passed between a person and the shop. Each row: at (UTC), what, channel, about, amount and cost (minor
-- units), currency. `theirs` has their numbers.

-- name: bought
-- DuckDB, the marts.
select
    min(sold_at) as at,
    if(kind = 'sale', 'bought', 'returned') as what,
    'store ' || store_id as channel,
    'receipt ' || transaction_id as about,
    sum(amount)::bigint as amount,
    null as cost,
    currency
from transactions
where customer_id in (select value from theirs where theirs.kind = 'customer')
group by transaction_id, kind, store_id, currency

-- name: moved
-- DuckDB, the marts. A day's move is told at its beginning, which is the shop's.
select
    changed_on::timestamp at time zone getvariable('zone') at time zone 'UTC' as at,
    if(previous_level is null, 'known', 'moved') as what,
    null as channel,
    concat_ws(' to ', previous_level, level) as about,
    null as amount,
    null as cost,
    null as currency
from relationship_transitions
where customer_id in (select value from theirs where theirs.kind = 'customer')

-- name: spoke
-- DuckDB, the validated feed. What was answered from a mail is the store's.
select distinct interaction_id from read_parquet({files}, hive_partitioning = false)
where
    not starts_with(interaction_id, 'answer:')
    and (
        customer_id in (select value from theirs where theirs.kind = 'customer')
        or prospect_id in (select value from theirs where theirs.kind = 'prospect')
    )

-- name: told
-- DuckDB, the validated feed; of a row told twice the later file's, which may be of somebody else.
select
    interaction_id,
    customer_id in (select value from theirs where theirs.kind = 'customer')
    or prospect_id in (select value from theirs where theirs.kind = 'prospect') as is_theirs,
    occurred_at as at,
    kind as what,
    channel,
    concat_ws(', ', topic, status, 'score ' || score) as about,
    null as amount,
    cost,
    if(cost is null, null, currency) as currency
from read_parquet({files}, hive_partitioning = true, hive_types = {{'file_id': bigint}})
where interaction_id in (select unnest({talks}))
qualify row_number() over (partition by interaction_id order by file_id desc) = 1

-- name: messages
select send_key, channel, campaign || ', step ' || step as about from outbox where customer_id in (select value from {numbers})

-- name: answers
select answered_at as at, 'survey' as what, 'email' as channel, 'score ' || score as about
from answer
where customer_id in (select value from {numbers})

-- name: words
select
    recorded_at as at,
    case granted when 1 then 'consented' else 'declined' end as what,
    channel,
    purpose || ', ' || origin as about
from consent
where customer_id in (select value from {numbers})

-- name: chose
select recorded_at as at, 'chose' as what, null as channel, name || ' ' || value as about
from preference
where customer_id in (select value from {numbers})

-- name: redeemed
select
    transfer.effective_at as at,
    case
        when transfer.kind = 'reverse' then 'got points back'
        when transfer.source_type = 'reward' then 'got a voucher' -- the night made it of points
        else 'spent points'
    end as what,
    null as channel,
    transfer.amount || ' points' as about
from account
inner join transfer
    on
        transfer.kind = 'redeem' and transfer.debit_id = account.account_id
        or transfer.kind = 'reverse' and transfer.credit_id = account.account_id
where account.owner_type = 'member' and account.owner_id in (select value from {numbers})

-- name: used
select
    redemption.at,
    'used a voucher' as what,
    'store ' || redemption.store_id as channel,
    voucher.reward as about
from redemption_member
inner join redemption on redemption_member.redemption_id = redemption.redemption_id
inner join voucher_use on redemption.redemption_id = voucher_use.redemption_id
inner join voucher on voucher_use.code = voucher.code
where
    redemption.state = 'used' and redemption_member.customer_id in (select value from {numbers})
