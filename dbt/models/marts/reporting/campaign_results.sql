{{ config(tags=["daily", "report"]) }}

-- What came of each step of each campaign. A purchase within 14 days of a message that was sent
-- counts for the last such message before it, so that no purchase counts twice; whoever it was sent
-- to may be known as somebody else by now. Revenue is of the shop's currency alone: other money
-- cannot be added to it.
with messages as (
    select * from {{ ref("stg_engine__messages") }}
),

sent as (
    select
        messages.send_key,
        {{ person_of("messages") }} as customer_id,
        -- A provider keeps what it is given ahead of its time; what was held up left later.
        case
            when messages.state = 'accepted' and messages.state_at > messages.send_at
                then messages.state_at
            else coalesce(messages.send_at, messages.state_at)
        end as sent_at
    from messages
    {{ with_person("messages") }}
    where {{ has_left("messages.state") }}
),

heard as (
    select
        send_key,
        max(case when event = 'delivered' then 1 else 0 end) as delivered,
        max(case when event in ('open', 'click') then 1 else 0 end) as opened,
        max(case when event = 'click' then 1 else 0 end) as clicked,
        max(case when event in ('bounce', 'dropped', 'blocked') then 1 else 0 end) as bounced,
        max(case when event = 'spamreport' then 1 else 0 end) as complained,
        max(case when event in ('unsubscribe', 'group_unsubscribe') then 1 else 0 end)
            as unsubscribed
    from {{ ref("stg_engine__message_events") }}
    group by send_key
),

addressed as (
    select distinct customer_id from sent
),

cards as (
    select
        owners.card_id,
        owners.customer_id
    from {{ ref("int_card_owners") }} as owners
    inner join addressed on owners.customer_id = addressed.customer_id
    union all
    select
        addressed.customer_id as card_id,
        addressed.customer_id
    from addressed
    left join {{ ref("int_card_owners") }} as owners
        on addressed.customer_id = owners.card_id and owners.customer_id is not null
    where owners.card_id is null
),

bought as (
    select
        sent.send_key,
        parts.transaction_id,
        parts.currency,
        parts.amount,
        row_number() over (
            partition by parts.transaction_id, parts.store_id, parts.currency, parts.card_id
            order by sent.sent_at desc, sent.send_key asc
        ) as place
    from {{ ref("int_receipt_parts") }} as parts
    inner join cards on parts.card_id = cards.card_id
    inner join sent
        on
            cards.customer_id = sent.customer_id
            and parts.sold_at > sent.sent_at
            and parts.sold_at <= {{ instant_days_after("sent.sent_at", 14) }}
    where parts.kind = 'sale' and parts.sold_at < {{ as_of() }}
),

bought_by_message as (
    select
        bought.send_key,
        count(*) as receipts,
        sum(case when bought.currency = own.currency then bought.amount else 0 end) as revenue
    from bought
    left join {{ ref("int_shop_currency") }} as own on true
    where bought.place = 1
    group by bought.send_key
)

select
    messages.campaign,
    messages.step,
    count(*) as messages,
    count(sent.send_key) as sent,
    cast(coalesce(sum(heard.delivered), 0) as bigint) as delivered,
    cast(coalesce(sum(heard.opened), 0) as bigint) as opened,
    cast(coalesce(sum(heard.clicked), 0) as bigint) as clicked,
    cast(coalesce(sum(heard.bounced), 0) as bigint) as bounced,
    cast(coalesce(sum(heard.complained), 0) as bigint) as complained,
    cast(coalesce(sum(heard.unsubscribed), 0) as bigint) as unsubscribed,
    count(bought_by_message.send_key) as converted,
    cast(coalesce(sum(bought_by_message.receipts), 0) as bigint) as receipts,
    cast(coalesce(sum(bought_by_message.revenue), 0) as bigint) as revenue,
    min({{ local_date("sent.sent_at") }}) as first_sent_on,
    max({{ local_date("sent.sent_at") }}) as last_sent_on
from messages
left join sent on messages.send_key = sent.send_key
left join heard on messages.send_key = heard.send_key
left join bought_by_message on messages.send_key = bought_by_message.send_key
group by messages.campaign, messages.step
