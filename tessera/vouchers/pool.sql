-- name: lock
select pg_advisory_xact_lock(7355610)

-- name: keep_terms
insert into voucher_terms (terms, reward, body) values (:terms, :reward, :body)
on conflict do nothing

-- name: has_batch
select 1 from voucher where reward = :reward and batch = :batch limit 1

-- name: read_codes
select * exclude (file_row) from (
    select column0 as code, row_number() over () as file_row
    from read_csv($path, header = false, all_varchar = true, delim = ',', strict_mode = false, null_padding = true)
) order by file_row

-- name: free
-- A condition on voucher rows: of a pool and not on paper, with no message that left, may leave or was erased,
-- and never used. What was held back at the provider may have left all the same, which is heard of within a
-- day. A quote within a name is escaped where terms are kept, so that only terms of a pool look like this.
    voucher.reward = :reward
    and voucher.batch is not null
    and voucher.terms in (
        select terms from voucher_terms where reward = :reward and body like '%"codes":"pool"%'
    )
    and voucher.withdrawn_at is null
    and not exists (
        select 1
        from reward_grant
        left join outbox on reward_grant.send_key = outbox.send_key
        where
            reward_grant.code = voucher.code
            and (
                coalesce(outbox.state, 'erased') not in ('cancelled', 'rejected')
                or (outbox.state_reason = 'cancelled_at_provider' and outbox.send_at >= :unheard)
            )
    )
    and not exists (select 1 from voucher_use where voucher_use.code = voucher.code)

-- name: count_free
select count(*) from voucher where {free}

-- name: take
select code from voucher where {free} order by made_at, code limit :count

-- name: forget_dead
-- A message that never left has given nothing; its code goes with another one.
delete from reward_grant where code in (select value from {codes})

-- name: give
update voucher set
    terms = :terms, uses = :uses, valid_from = :valid_from, valid_until = :valid_until,
    customer_id = person.value
from {people} as person
where voucher.code = person.key

-- name: known
select code from voucher where code in (select value from {codes})

-- name: withdraw
update voucher set withdrawn_at = :at
where withdrawn_at is null and code in (select value from {codes})

-- name: of_messages
select reward_grant.send_key, reward_grant.code, voucher.valid_until
from reward_grant
left join voucher on reward_grant.code = voucher.code
where reward_grant.send_key in (select value from {keys})
union all
-- A message about points that became a voucher tells that voucher, also who they are by now whose it was.
select outbox.send_key, reward_grant.code, voucher.valid_until
from outbox
inner join reward_grant on outbox.occurrence = reward_grant.send_key
inner join voucher on reward_grant.code = voucher.code
left join person_merge as merged
    on voucher.customer_id = merged.customer_id and merged.is_in_force = 1
where
    outbox.customer_id in (voucher.customer_id, merged.into_customer_id)
    and outbox.send_key in (select value from {keys})
    and not exists (select 1 from reward_grant as own where own.send_key = outbox.send_key)
union all
-- A later step of a journey tells the code that an earlier one brought, under any number that its reader had,
-- while it is good and was not used.
select later.send_key, reward_grant.code, voucher.valid_until
from (
    select send_key, customer_id, campaign, occurrence, message_id, customer_id as known_as
    from outbox
    union all
    select
        outbox.send_key, outbox.customer_id, outbox.campaign, outbox.occurrence, outbox.message_id,
        merged.customer_id as known_as
    from outbox
    inner join person_merge as merged
        on outbox.customer_id = merged.into_customer_id and merged.is_in_force = 1
) as later
-- SQLite would begin with all that was ever sent.
cross join outbox as earlier
inner join reward_grant on earlier.send_key = reward_grant.send_key
inner join voucher on reward_grant.code = voucher.code
where
    later.send_key in (select value from {keys})
    and later.known_as = earlier.customer_id and later.campaign = earlier.campaign
    and later.occurrence = earlier.occurrence and later.message_id > earlier.message_id
    and earlier.state in ('accepted', 'ambiguous', 'reconciled')
    and voucher.withdrawn_at is null
    and (voucher.valid_until is null or voucher.valid_until >= :day)
    and not exists (
        select 1 from voucher_use
        inner join redemption on voucher_use.redemption_id = redemption.redemption_id
        where voucher_use.code = voucher.code and redemption.state = 'used'
    )
    and not exists (select 1 from reward_grant as own where own.send_key = later.send_key)
order by 1, 3, 2

-- name: of_members
select customer_id, code from referral_code
where customer_id in (select value from {customers})

-- name: summary
select
    reward, coalesce(batch, '(with messages)') as batch, count(*) as codes,
    sum(case when state = 'printed' then 1 else 0 end) as printed,
    sum(case when state = 'free' then 1 else 0 end) as free,
    sum(case when state = 'reserved' then 1 else 0 end) as reserved,
    sum(case when state = 'given' then 1 else 0 end) as given,
    sum(case when state = 'held' then 1 else 0 end) as held,
    sum(case when state = 'used' then 1 else 0 end) as used,
    sum(case when state = 'overused' then 1 else 0 end) as overused,
    sum(case when state = 'expired' then 1 else 0 end) as expired,
    sum(case when state in ('released', 'withdrawn') then 1 else 0 end) as withdrawn
from ({states}) as told
group by reward, coalesce(batch, '(with messages)')
order by reward, batch

-- name: states
select
    voucher.code, voucher.reward, voucher.batch, voucher.uses, voucher.valid_from,
    voucher.valid_until, coalesce(spent.used, 0) as used, coalesce(spent.held, 0) as held,
    case
        when coalesce(spent.used, 0) > voucher.uses then 'overused'
        when coalesce(spent.used, 0) = voucher.uses then 'used'
        when voucher.withdrawn_at is not null then 'withdrawn'
        when coalesce(spent.held, 0) > 0 then 'held'
        when outbox.state in ('cancelled', 'rejected')
            then case
                when voucher.batch is null then 'released'
                when outbox.state_reason = 'cancelled_at_provider' and outbox.send_at >= :unheard
                    then 'released'
                else 'free'
            end
        when voucher.valid_until < :day then 'expired'
        when outbox.state in ('ready', 'leased') then 'reserved'
        when voucher.batch is null or reward_grant.code is not null then 'given'
        when voucher_terms.body like '%"codes":"pool"%' then 'free'
        else 'printed'
    end as state
from voucher
left join voucher_terms on voucher.terms = voucher_terms.terms
left join reward_grant on voucher.code = reward_grant.code
left join outbox on reward_grant.send_key = outbox.send_key
left join (
    select
        voucher_use.code,
        sum(case when redemption.state = 'used' then 1 else 0 end) as used,
        sum(case when redemption.state = 'held' and redemption.held_until > :at then 1 else 0 end)
            as held
    from voucher_use
    inner join redemption on voucher_use.redemption_id = redemption.redemption_id
    where {which}
    group by voucher_use.code
) as spent on voucher.code = spent.code

-- name: uses
select redemption.at, redemption.store_id, redemption.state, redemption.receipt_id, voucher_use.discount
from voucher_use
inner join redemption on voucher_use.redemption_id = redemption.redemption_id
where voucher_use.code = :code
order by redemption.at, redemption.redemption_id
