{{
    config(
        materialized="incremental",
        incremental_strategy="append",
        pre_hook="{{ forget_touched() }}",
    )
}}

select
    customer_id,
    count(*) + 1 as visits,
    cast(median({{ days_between("previously_on", "visited_on") }}) as decimal(9, 1))
        as median_days_between_purchases
from {{ ref("int_customer_visits") }}
where previously_on is not null and {{ is_touched("customer_id") }}
group by customer_id
