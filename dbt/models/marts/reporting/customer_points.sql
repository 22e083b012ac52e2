{{ config(tags=["daily", "report"]) }}

-- What the programme gave to each member and took back, per day: what rewards cost, to be taken off
-- what campaigns brought. Spending and expiry are no new promise, so they are not in it. The day is
-- that of the purchase: the first night of a programme posts a whole history at once.
with given as (
    select
        customer_id,
        coalesce({{ local_date("effective_at") }}, business_date) as given_on,
        case when debit like 'system:%:issuance' then amount else -amount end as points
    from {{ ref("stg_engine__point_transfers") }}
    where
        customer_id is not null
        and (debit like 'system:%:issuance' or credit like 'system:%:issuance')
        and business_date < {{ business_date() }}
)

select
    customer_id,
    given_on,
    cast(sum(points) as bigint) as points
from given
group by customer_id, given_on
