{{ config(tags=["daily"]) }}

{% set person = "coalesce(people.customer_id, figures.customer_id)" %}
with people as (
    select * from {{ ref("int_people") }}
    where prospect_id is null or noted_at < {{ as_of() }}
),

figures as (
    select * from {{ ref("int_customer_figures") }}
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
)

select
    {{ person }} as customer_id,
    people.household_id,
    people.prospect_id,

    ---------- strings
    case
        when people.card_blocked_at <= {{ as_of() }} then null
        when people.is_with_cards then people.card_id
        -- Who owns no card and has receipts is a card without a customer behind it.
        else figures.customer_id
    end as card_id,
    people.given_name,
    people.family_name,
    people.email,
    people.phone,
    coalesce(preferences.language, people.language, '{{ var("language") }}') as language,
    coalesce(people.timezone, '{{ var("timezone") }}') as timezone,
    people.country,
    people.home_store_id,
    people.acquisition_source,
    figures.currency,
    figures.favourite_category,
    figures.favourite_store_id,
    opinions.sentiment,
    opinions.topic as opinion_topic,
    case
        when figures.last_purchase_on is null and engagements.customer_id is not null
            then 'engaged'
        when figures.last_purchase_on is null
            then 'potential'
        when
            {{ days_between("figures.last_purchase_on", business_date()) }}
            >= {{ lapsed_after_days("figures.median_days_between_purchases") }}
            then 'lapsed'
        else {{ level_of_buyer("coalesce(figures.visits, 1)") }}
    end as relationship_level,
    case when people.prospect_id is null then coalesce(tiers.tier, 'basic') end as tier,
    case
        when tiers.customer_id is not null then tiers.next_tier
        when people.prospect_id is null then {{ next_tier("'basic'") }}
    end as next_tier,
    -- What `know` learns of people is filled in after the build (docs/know.md), here and below.
    cast(null as varchar) as favourite_product_id,
    cast(null as varchar) as churn_risk,
    cast(null as varchar) as offer_reason,

    ---------- numbers
    coalesce(figures.receipts, 0) as receipts,
    coalesce(figures.lines, 0) as lines,
    coalesce(figures.units, 0) as units,
    coalesce(figures.revenue, 0) as revenue,
    cast(round(figures.sales / nullif(figures.receipts, 0)) as bigint) as average_basket,
    coalesce(figures.returned_receipts, 0) as returned_receipts,
    {{ quintile_of("last_purchase_on", "recency") }} as recency_quintile,
    {{ quintile_of("receipts", "frequency") }} as frequency_quintile,
    {{ quintile_of("revenue", "monetary") }} as monetary_quintile,
    {{ days_between("figures.last_purchase_on", business_date()) }} as days_since_last_purchase,
    figures.median_days_between_purchases,
    cast(figures.discount / nullif(figures.sales + figures.discount, 0) as decimal(9, 4))
        as discount_share,
    coalesce(expiring.points, 0) as points_expiring,
    case
        when tiers.customer_id is not null then tiers.points_to_next_tier
        when people.prospect_id is null then {{ least_of_next_tier("'basic'") }}
    end as points_to_next_tier,
    answers.score as satisfaction_score,
    cast(
        {{ days_between("figures.last_purchase_on", business_date()) }}
        / nullif(figures.median_days_between_purchases, 0) as decimal(9, 2)
    ) as overdue_factor,
    coalesce(complaints.complaints, 0) as complaints,
    coalesce(attention.messages_received, 0) as messages_received,
    coalesce(attention.messages_opened, 0) as messages_opened,
    coalesce(attention.messages_clicked, 0) as messages_clicked,
    coalesce(attention.messages_unread, 0) as messages_unread,
    attention.best_hour,
    cast(null as bigint) as favourite_weekday,
    cast(null as bigint) as favourite_hour,
    cast(null as decimal(9, 4)) as price_level,
    cast(null as decimal(9, 4)) as chance_alive,
    cast(null as decimal(9, 2)) as predicted_purchases,
    cast(null as bigint) as predicted_revenue,

    ---------- booleans
    coalesce(people.is_registered, false) as is_registered,
    coalesce(complaints.is_open, false) as has_complaint_open,
    coalesce(people.has_email_consent, false) as has_email_consent,
    coalesce(people.has_sms_consent, false) as has_sms_consent,
    cast(null as boolean) as is_offer_advised,

    ---------- dates
    people.birth_date,
    figures.first_purchase_on,
    figures.last_purchase_on,
    {{ days_after("figures.last_purchase_on",
                  "cast(round(figures.median_days_between_purchases) as integer)") }}
        as expected_next_purchase_on,
    expiring.expire_on as points_expire_on,
    preferences.paused_until,
    complaints.last_complaint_on,
    attention.last_read_on,

    ---------- timestamps
    people.joined_at,
    figures.first_purchase_at,
    figures.last_purchase_at,
    answers.occurred_at as satisfaction_at
from people
full join figures on people.customer_id = figures.customer_id
left join {{ ref("int_quintile_bounds") }} as bounds on figures.currency = bounds.currency
left join {{ ref("int_customer_engagements") }} as engagements
    on {{ person }} = engagements.customer_id
left join {{ ref("int_customer_answers") }} as answers
    on {{ person }} = answers.customer_id
left join {{ ref("int_customer_opinions") }} as opinions
    on {{ person }} = opinions.customer_id
left join {{ ref("int_customer_preferences") }} as preferences
    on {{ person }} = preferences.customer_id
left join {{ ref("int_expiring_points") }} as expiring
    on {{ person }} = expiring.customer_id
left join {{ ref("int_customer_tiers") }} as tiers on {{ person }} = tiers.customer_id
left join {{ ref("int_customer_attention") }} as attention
    on {{ person }} = attention.customer_id
left join complaints on {{ person }} = complaints.customer_id
