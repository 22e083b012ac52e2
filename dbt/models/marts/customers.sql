{{ config(tags=["daily"]) }}

with registered as (
    select * from {{ ref("int_profiles") }}
),

purchases as (
    select * from {{ ref("int_customer_purchases") }}
),

prospects as (
    select
        own.customer_id,
        noted.*
    from {{ ref("int_prospects") }} as own
    inner join {{ ref("stg_shop__prospects") }} as noted on own.prospect_id = noted.prospect_id
    where own.is_own_person and own.created_at < {{ as_of() }}
),

people as (
    select coalesce(named.customer_id, purchases.customer_id) as customer_id
    from {{ ref("int_named_customers") }} as named
    full join purchases on named.customer_id = purchases.customer_id
    union all
    select customer_id from prospects
),

complaints as (
    select
        customer_id,
        count(*) as complaints,
        max(case when coalesce(status, 'open') not in ('closed', 'resolved') then 1 end) = 1
            as is_open,
        {{ local_date("max(occurred_at)") }} as last_complaint_on
    from {{ ref("int_interactions") }}
    where kind = 'complaint' and occurred_at < {{ as_of() }}
    group by customer_id
),

wishes as (
    select
        customer_id,
        max(case when channel = 'email' then granted end) as is_email_granted,
        max(case when channel = 'sms' then granted end) as is_sms_granted
    from {{ ref("consents") }}
    where purpose = 'marketing'
    group by customer_id
)

select
    people.customer_id,
    registered.household_id,
    prospects.prospect_id,

    ---------- strings
    case
        when cards.customer_id is not null then cards.card_id
        -- Who owns no card and has receipts is a card without a customer behind it.
        when purchases.customer_id is not null then people.customer_id
    end as card_id,
    coalesce(registered.given_name, prospects.given_name) as given_name,
    coalesce(registered.family_name, prospects.family_name) as family_name,
    coalesce(registered.email, prospects.email) as email,
    coalesce(registered.phone, prospects.phone) as phone,
    coalesce(
        preferences.language, registered.language, prospects.language, '{{ var("language") }}'
    ) as language,
    coalesce(registered.timezone, prospects.timezone, '{{ var("timezone") }}') as timezone,
    coalesce(registered.country, prospects.country) as country,
    registered.home_store_id,
    coalesce(registered.acquisition_source, prospects.acquisition_source) as acquisition_source,
    purchases.currency,
    favourites.favourite_category,
    favourites.favourite_store_id,
    opinions.sentiment,
    opinions.topic as opinion_topic,
    case
        when purchases.last_purchase_on is null and engagements.customer_id is not null
            then 'engaged'
        when purchases.last_purchase_on is null
            then 'potential'
        when
            {{ days_between("purchases.last_purchase_on", business_date()) }}
            >= {{ lapsed_after_days("rhythms.median_days_between_purchases") }}
            then 'lapsed'
        else {{ level_of_buyer("coalesce(rhythms.visits, 1)") }}
    end as relationship_level,
    case when prospects.customer_id is null then coalesce(tiers.tier, 'basic') end as tier,
    case
        when tiers.customer_id is not null then tiers.next_tier
        when prospects.customer_id is null then {{ next_tier("'basic'") }}
    end as next_tier,
    -- What `know` learns of people is filled in after the build (docs/know.md), here and below.
    cast(null as varchar) as favourite_product_id,
    cast(null as varchar) as churn_risk,
    cast(null as varchar) as offer_reason,

    ---------- numbers
    coalesce(purchases.receipts, 0) as receipts,
    coalesce(purchases.lines, 0) as lines,
    coalesce(purchases.units, 0) as units,
    coalesce(purchases.revenue, 0) as revenue,
    cast(round(purchases.sales / nullif(purchases.receipts, 0)) as bigint) as average_basket,
    coalesce(purchases.returned_receipts, 0) as returned_receipts,
    quintiles.recency_quintile,
    quintiles.frequency_quintile,
    quintiles.monetary_quintile,
    {{ days_between("purchases.last_purchase_on", business_date()) }} as days_since_last_purchase,
    rhythms.median_days_between_purchases,
    cast(purchases.discount / nullif(purchases.sales + purchases.discount, 0) as decimal(9, 4))
        as discount_share,
    coalesce(expiring.points, 0) as points_expiring,
    case
        when tiers.customer_id is not null then tiers.points_to_next_tier
        when prospects.customer_id is null then {{ least_of_next_tier("'basic'") }}
    end as points_to_next_tier,
    answers.score as satisfaction_score,
    cast(
        {{ days_between("purchases.last_purchase_on", business_date()) }}
        / nullif(rhythms.median_days_between_purchases, 0) as decimal(9, 2)
    ) as overdue_factor,
    coalesce(complaints.complaints, 0) as complaints,
    coalesce(attention.messages_received, 0) as messages_received,
    coalesce(attention.messages_opened, 0) as messages_opened,
    coalesce(attention.messages_clicked, 0) as messages_clicked,
    coalesce(attention.messages_unread, 0) as messages_unread,
    cast(null as bigint) as favourite_weekday,
    cast(null as bigint) as favourite_hour,
    cast(null as decimal(9, 4)) as price_level,
    cast(null as decimal(9, 4)) as chance_alive,
    cast(null as decimal(9, 2)) as predicted_purchases,
    cast(null as bigint) as predicted_revenue,

    ---------- booleans
    registered.customer_id is not null as is_registered,
    coalesce(complaints.is_open, false) as has_complaint_open,
    coalesce(wishes.is_email_granted, false) as has_email_consent,
    coalesce(wishes.is_sms_granted, false) as has_sms_consent,
    cast(null as boolean) as is_offer_advised,

    ---------- dates
    registered.birth_date,
    purchases.first_purchase_on,
    purchases.last_purchase_on,
    {{ days_after("purchases.last_purchase_on",
                  "cast(round(rhythms.median_days_between_purchases) as integer)") }}
        as expected_next_purchase_on,
    expiring.expire_on as points_expire_on,
    preferences.paused_until,
    complaints.last_complaint_on,
    attention.last_read_on,

    ---------- timestamps
    registered.joined_at,
    purchases.first_purchase_at,
    purchases.last_purchase_at,
    answers.occurred_at as satisfaction_at
from people
left join registered on people.customer_id = registered.customer_id
left join purchases on people.customer_id = purchases.customer_id
left join {{ ref("int_customer_cards") }} as cards on people.customer_id = cards.customer_id
left join {{ ref("int_customer_rhythms") }} as rhythms on people.customer_id = rhythms.customer_id
left join {{ ref("int_customer_favourites") }} as favourites
    on people.customer_id = favourites.customer_id
left join {{ ref("int_customer_quintiles") }} as quintiles
    on people.customer_id = quintiles.customer_id
left join {{ ref("int_customer_engagements") }} as engagements
    on people.customer_id = engagements.customer_id
left join {{ ref("int_customer_answers") }} as answers
    on people.customer_id = answers.customer_id
left join {{ ref("int_customer_opinions") }} as opinions
    on people.customer_id = opinions.customer_id
left join {{ ref("int_customer_preferences") }} as preferences
    on people.customer_id = preferences.customer_id
left join {{ ref("int_expiring_points") }} as expiring
    on people.customer_id = expiring.customer_id
left join {{ ref("int_customer_tiers") }} as tiers on people.customer_id = tiers.customer_id
left join {{ ref("int_customer_attention") }} as attention
    on people.customer_id = attention.customer_id
left join prospects on people.customer_id = prospects.customer_id
left join complaints on people.customer_id = complaints.customer_id
left join wishes on people.customer_id = wishes.customer_id
