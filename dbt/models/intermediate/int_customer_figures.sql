{{
    config(
        materialized="incremental",
        incremental_strategy="append",
        pre_hook="{{ forget_touched() }}",
    )
}}

-- All that receipts say of a customer side by side: put together once, not every day for everybody.
select
    purchases.customer_id,
    purchases.currency,
    purchases.receipts,
    purchases.returned_receipts,
    purchases.lines,
    purchases.units,
    purchases.revenue,
    purchases.sales,
    purchases.discount,
    purchases.first_purchase_on,
    purchases.last_purchase_on,
    purchases.first_purchase_at,
    purchases.last_purchase_at,
    rhythms.visits,
    rhythms.median_days_between_purchases,
    favourites.favourite_category,
    favourites.favourite_store_id
from {{ ref("int_customer_purchases") }} as purchases
left join {{ ref("int_customer_rhythms") }} as rhythms
    on purchases.customer_id = rhythms.customer_id
left join {{ ref("int_customer_favourites") }} as favourites
    on purchases.customer_id = favourites.customer_id
where {{ is_touched("purchases.customer_id") }}
