{{ config(tags=["daily"]) }}

-- What happened to people in the last 31 days and may begin a campaign. An occurrence is what makes
-- the event one of its kind for this person; it stays the same from day to day.
with people as (
    select * from {{ ref("customers") }}
),

visits as (
    -- Those after which something may be said, looked up once.
    select
        customer_id,
        visit,
        visited_on
    from {{ ref("int_customer_visits") }}
    where
        visit in (2, 10, 25, 50, 100, 200)
        and visited_on >= {{ days_after(business_date(), -31) }}
),

told as (
    select distinct
        customer_id,
        occurrence
    from {{ ref("stg_engine__messages") }}
    where occurrence like 'reward:%' and {{ has_left("state") }}
),

rewards as (
    -- Points that became a voucher by themselves. Whose they were may be another by now, who is
    -- told of what they were not told themselves.
    select
        transfers.idem_key,
        transfers.business_date,
        coalesce(merged.into_customer_id, transfers.customer_id) as customer_id
    from {{ ref("stg_engine__point_transfers") }} as transfers
    left join {{ ref("int_merged_customers") }} as merged
        on transfers.customer_id = merged.customer_id
    left join told
        on merged.customer_id = told.customer_id and transfers.idem_key = told.occurrence
    where
        transfers.kind = 'redeem' and transfers.idem_key like 'reward:%'
        and transfers.business_date >= {{ days_after(business_date(), -31) }}
        and told.customer_id is null
),

interactions as (
    select
        *,
        {{ local_date("occurred_at") }} as occurred_on
    from {{ ref("int_interactions") }}
    where
        occurred_at < {{ as_of() }}
        and occurred_at >= {{ instant_days_after(as_of(), -32) }}
),

events as (
    select
        customer_id,
        'joined' as event,
        'first' as occurrence,
        {{ local_date("joined_at") }} as occurred_on
    from people
    where joined_at < {{ as_of() }} and joined_at >= {{ instant_days_after(as_of(), -32) }}
    union all
    select
        customer_id,
        'first_purchase' as event,
        'first' as occurrence,
        first_purchase_on as occurred_on
    from people
    union all
    select
        customer_id,
        'second_purchase' as event,
        'second' as occurrence,
        visited_on as occurred_on
    from visits
    where visit = 2
    union all
    -- Visits after which it is worth asking how it was.
    select
        customer_id,
        'milestone_visit' as event,
        concat('visit ', cast(visit as varchar)) as occurrence,
        visited_on as occurred_on
    from visits
    union all
    select
        customer_id,
        'complaint_opened' as event,
        interaction_id as occurrence,
        occurred_on
    from interactions
    where kind = 'complaint'
    union all
    -- The feed says that it was settled, not when: the day is that of the complaint.
    select
        customer_id,
        'complaint_resolved' as event,
        interaction_id as occurrence,
        occurred_on
    from interactions
    where kind = 'complaint' and status in ('closed', 'resolved')
    union all
    select
        customer_id,
        case when score >= 9 then 'satisfied' else 'dissatisfied' end as event,
        interaction_id as occurrence,
        occurred_on
    from interactions
    where kind in ('survey', 'review') and (score >= 9 or score <= 6)
    union all
    select
        customer_id,
        'satisfaction_asked' as event,
        coalesce(occurrence, send_key) as occurrence,
        business_date as occurred_on
    from {{ ref("stg_engine__messages") }}
    where
        campaign = 'satisfaction'
        and step = 'question'
        and {{ has_left("state") }}
    union all
    select
        customer_id,
        'points_expiring' as event,
        cast(points_expire_on as varchar) as occurrence,
        {{ days_after("points_expire_on", -14) }} as occurred_on
    from people
    where points_expiring > 0
    union all
    select
        customer_id,
        'tier_changed' as event,
        concat(tier, ' ', cast(changed_on as varchar)) as occurrence,
        changed_on as occurred_on
    from {{ ref("int_tier_changes") }}
    union all
    select
        customer_id,
        'tier_raised' as event,
        concat(tier, ' ', cast(changed_on as varchar)) as occurrence,
        changed_on as occurred_on
    from {{ ref("int_tier_changes") }}
    where is_raised
    union all
    -- By whose key a message finds the code.
    select
        customer_id,
        'reward_earned' as event,
        idem_key as occurrence,
        business_date as occurred_on
    from rewards
    union all
    -- Points without a purchase: a gift, a friend's first purchase, a favour.
    select
        customer_id,
        'points_given' as event,
        idem_key as occurrence,
        business_date as occurred_on
    from {{ ref("stg_engine__point_transfers") }}
    where
        kind = 'grant' and business_date >= {{ days_after(business_date(), -31) }}
)

select
    events.customer_id,
    events.event,
    events.occurrence,
    events.occurred_on,
    coalesce(people.average_basket, 0) as expected_value
from events
inner join people on events.customer_id = people.customer_id
where
    events.occurred_on <= {{ business_date() }}
    and events.occurred_on >= {{ days_after(business_date(), -31) }}
