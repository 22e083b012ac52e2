{{ config(materialized="view") }}

-- What people said on being written to, whichever of their numbers they said it under.
select
    coalesce(merged.into_customer_id, consents.customer_id) as customer_id,
    consents.channel,
    consents.purpose,
    consents.granted,
    consents.recorded_at,
    consents.origin,
    consents.wording_version,
    consents.file_id
from {{ ref("stg_shop__consents") }} as consents
left join {{ ref("int_merged_customers") }} as merged
    on consents.customer_id = merged.customer_id
