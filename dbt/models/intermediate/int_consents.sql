{{ config(materialized="view") }}

-- What people said on being written to, whichever of their numbers they said it under: also who
-- said it as a prospect and is a customer now.
select
    coalesce(
        merged.into_customer_id, prospects.customer_id, consents.customer_id
    ) as customer_id,
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
left join {{ ref("int_prospects") }} as prospects
    on consents.customer_id = {{ prospect_key("prospects.prospect_id") }}
