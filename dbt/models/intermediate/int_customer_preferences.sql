{{ config(tags=["daily"]) }}

-- What people last chose in the preference centre before as_of, as far as the profile shows it,
-- whichever of their numbers they chose it under: also as a prospect who is a customer now.
with chosen as (
    select
        {{ person_of("preferences") }} as customer_id,
        preferences.preference_id,
        preferences.name,
        preferences.value,
        preferences.recorded_at
    from {{ ref("stg_engine__preferences") }} as preferences
    {{ with_person("preferences") }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id, name
            -- Numbers as text: of two in one second the longer, then the greater, is the later.
            order by recorded_at desc, length(preference_id) desc, preference_id desc
        ) as place
    from chosen
    where recorded_at < {{ as_of() }} and name in ('language', 'paused_until')
)

select
    customer_id,
    max(case when name = 'language' then value end) as language,
    max(case when name = 'paused_until' and value <> '' then cast(value as date) end)
        as paused_until
from ranked
where place = 1
group by customer_id
