-- Everybody whom a feed other than the receipts names, customers and prospects, with what those
-- feeds say of them. It does not go by as_of: a day on which they are silent finds it made.
with named as (
    select customer_id from {{ ref("int_profiles") }}
    union
    select customer_id from {{ ref("int_card_owners") }}
    where customer_id is not null
    union
    select customer_id from {{ ref("int_consents") }}
    where customer_id not like 'prospect:%'
    union
    select customer_id from {{ ref("int_interactions") }}
    where customer_id not like 'prospect:%'
),

prospects as (
    select
        own.customer_id,
        noted.*
    from {{ ref("int_prospects") }} as own
    inner join {{ ref("stg_shop__prospects") }} as noted on own.prospect_id = noted.prospect_id
    where own.is_own_person
),

people as (
    select customer_id from named
    union all
    select customer_id from prospects
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
    cards.card_id,
    cards.blocked_at as card_blocked_at,
    coalesce(registered.given_name, prospects.given_name) as given_name,
    coalesce(registered.family_name, prospects.family_name) as family_name,
    coalesce(registered.email, prospects.email) as email,
    coalesce(registered.phone, prospects.phone) as phone,
    coalesce(registered.language, prospects.language) as language,
    coalesce(registered.timezone, prospects.timezone) as timezone,
    coalesce(registered.country, prospects.country) as country,
    registered.home_store_id,
    coalesce(registered.acquisition_source, prospects.acquisition_source) as acquisition_source,
    registered.customer_id is not null as is_registered,
    cards.customer_id is not null as is_with_cards,
    coalesce(wishes.is_email_granted, false) as has_email_consent,
    coalesce(wishes.is_sms_granted, false) as has_sms_consent,
    registered.birth_date,
    registered.joined_at,
    prospects.created_at as noted_at
from people
left join {{ ref("int_profiles") }} as registered on people.customer_id = registered.customer_id
left join {{ ref("int_customer_cards") }} as cards on people.customer_id = cards.customer_id
left join prospects on people.customer_id = prospects.customer_id
left join wishes on people.customer_id = wishes.customer_id
