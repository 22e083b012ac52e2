{{ config(materialized="view") }}

-- What people said on being written to, whichever of their numbers they said it under: also who
-- said it as a prospect and is a customer now. Where two who were merged had not said the same, the
-- merge itself is a no: the strictest holds until the person says otherwise.
with said as (
    select
        {{ person_of("consents") }} as customer_id,
        consents.customer_id as said_by,
        consents.channel,
        consents.purpose,
        consents.granted,
        consents.recorded_at,
        consents.origin,
        consents.wording_version,
        consents.file_id
    from {{ ref("stg_shop__consents") }} as consents
    {{ with_person("consents") }}
),

people as (
    select
        into_customer_id as customer_id,
        max(recorded_at) as merged_at
    from {{ ref("stg_engine__person_merges") }}
    where is_in_force
    group by into_customer_id
),

last_words as (
    select
        said.*,
        people.merged_at,
        row_number() over (
            partition by said.customer_id, said.said_by, said.channel, said.purpose
            order by said.recorded_at desc, said.granted asc
        ) as place
    from said
    inner join people on said.customer_id = people.customer_id
    where said.recorded_at <= people.merged_at
)

select
    customer_id,
    channel,
    purpose,
    granted,
    recorded_at,
    origin,
    wording_version,
    file_id
from said
union all
select
    customer_id,
    channel,
    purpose,
    false as granted,
    max(merged_at) as recorded_at,
    'merge' as origin,
    cast(null as varchar) as wording_version,
    max(file_id) as file_id
from last_words
where place = 1
group by customer_id, channel, purpose
having count(distinct granted) = 2
