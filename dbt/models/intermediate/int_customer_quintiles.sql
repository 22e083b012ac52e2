-- Five classes of as many customers each, 5 the best; customers with equal figures share one.
with purchases as (
    select * from {{ ref("int_customer_purchases") }}
    where receipts > 0
)

select
    customer_id,
    cast(ceil(5 * cume_dist() over (order by last_purchase_on)) as bigint) as recency_quintile,
    cast(ceil(5 * cume_dist() over (order by receipts)) as bigint) as frequency_quintile,
    cast(ceil(5 * cume_dist() over (order by revenue)) as bigint) as monetary_quintile
from purchases
