-- The figures of the report page, asked of the store; the same text runs on both databases.

-- name: sends
select campaign, state, count(*) as messages
from outbox
where business_date = :business_date
group by campaign, state
order by campaign, state

-- name: held
-- What was decided, and waits until its template is mended.
select campaign, state_reason as why, count(*) as messages
from outbox
where state = 'ready' and state_reason like 'templates/%'
group by campaign, state_reason
order by campaign, state_reason

-- name: yesterday
-- What became of the messages of a day: each event counts once for its message.
with heard as (
    select
        provider_event.send_key,
        max(case when provider_event.event = 'delivered' then 1 else 0 end) as delivered,
        max(case when provider_event.event in ('open', 'click') then 1 else 0 end) as opened,
        max(case when provider_event.event = 'click' then 1 else 0 end) as clicked,
        max(case when provider_event.event in ('bounce', 'dropped', 'blocked') then 1 else 0 end)
            as bounced,
        max(case when provider_event.event in ('unsubscribe', 'group_unsubscribe') then 1 else 0 end)
            as unsubscribed
    from provider_event
    inner join outbox on provider_event.send_key = outbox.send_key
    where outbox.business_date = :business_date
    group by provider_event.send_key
)

select
    outbox.campaign,
    count(*) as messages,
    cast(
        sum(case when outbox.state in ('accepted', 'ambiguous', 'reconciled') then 1 else 0 end)
        as bigint
    ) as sent,
    cast(coalesce(sum(heard.delivered), 0) as bigint) as delivered,
    cast(coalesce(sum(heard.opened), 0) as bigint) as opened,
    cast(coalesce(sum(heard.clicked), 0) as bigint) as clicked,
    cast(coalesce(sum(heard.bounced), 0) as bigint) as bounced,
    cast(coalesce(sum(heard.unsubscribed), 0) as bigint) as unsubscribed
from outbox
left join heard on outbox.send_key = heard.send_key
where outbox.business_date = :business_date
group by outbox.campaign
order by outbox.campaign

-- name: points
-- What the programme gave to members and took back, on the day and in the thirty that end with it: all that
-- ever moved would be read anew each night.
select
    case when credit.owner_type = 'member' then 'issued' else 'taken back' end as direction,
    transfer.kind,
    cast(
        sum(case when transfer.business_date = :business_date then transfer.amount else 0 end)
        as bigint
    ) as today,
    cast(sum(transfer.amount) as bigint) as month
from transfer
inner join account as debit on transfer.debit_id = debit.account_id
inner join account as credit on transfer.credit_id = credit.account_id
where debit.owner_type <> credit.owner_type and transfer.business_date between :since and :business_date
group by case when credit.owner_type = 'member' then 'issued' else 'taken back' end, transfer.kind
order by direction, transfer.kind

-- name: balances
select bucket, count(*) as members, cast(sum(balance) as bigint) as points
from account
where owner_type = 'member' and balance > 0
group by bucket
order by bucket

-- name: assertions
select programme, expected, actual
from balance_assertion
where business_date = :business_date
order by programme

-- name: files
-- What others gave us: the engine's own rows are nobody's export, and readmitted rows were counted
-- where they first landed.
select
    feed,
    count(*) as files,
    cast(sum(rows) as bigint) as landed,
    cast(sum(case when verdict = 'accepted' then good_rows else 0 end) as bigint) as good,
    cast(sum(case when verdict = 'accepted' then bad_rows else 0 end) as bigint) as quarantined,
    cast(sum(case when verdict = 'refused' then rows else 0 end) as bigint) as refused,
    cast(sum(case when verdict is null then rows else 0 end) as bigint) as waiting
from landed_file
where source not in ('engine', 'readmitted')
group by feed
order by feed

-- name: refused
-- Until the file has come again under its name and was let in.
select file_id, feed, name as file, rows, verdict_reason as reason
from landed_file
where
    verdict = 'refused'
    and not exists (
        select 1 from landed_file as again
        where
            again.source = landed_file.source
            and again.feed = landed_file.feed
            and again.name = landed_file.name
            and again.file_id > landed_file.file_id
            and again.verdict = 'accepted'
    )
order by file_id

-- name: readmitted
select file_id, row_number from readmission order by file_id, row_number

-- name: lines
-- Receipt lines at the door. A readmitted row has a file of its own beside the bad row it mends.
with file as (
    select * from landed_file where feed = 'transactions' and source <> 'readmitted'
)

select
    cast(coalesce(sum(rows), 0) as bigint) as landed,
    cast(coalesce(sum(case when verdict = 'accepted' then bad_rows end), 0) as bigint)
    - (
        select count(*) from readmission
        where readmission.file_id in (select file.file_id from file)
    ) as quarantined,
    cast(coalesce(sum(case when verdict = 'refused' then rows end), 0) as bigint) as refused,
    cast(coalesce(sum(case when verdict is null then rows end), 0) as bigint) as waiting
from file
