{{ config(tags=["daily", "report"]) }}

-- What the programme gave to each member and took back, per day: what rewards cost, to be taken off
-- what campaigns brought. Spending and expiry are no new promise, so they are not in it.
select
    customer_id,
    business_date as posted_on,
    cast(
        sum(case when debit like 'system:%:issuance' then amount else -amount end) as bigint
    ) as points
from {{ ref("stg_engine__point_transfers") }}
where
    customer_id is not null
    and (debit like 'system:%:issuance' or credit like 'system:%:issuance')
    and business_date < {{ business_date() }}
group by customer_id, business_date
