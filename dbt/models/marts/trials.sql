-- Who was given an offer by lot and who was left without to compare: contacts that say so in their
-- status, under the name of what was tried.
select
    customer_id,
    topic as trial,
    {{ local_date("occurred_at") }} as offered_on,
    status = 'offered' as is_offered
from {{ ref("int_interactions") }}
where
    kind = 'contact'
    and status in ('offered', 'withheld')
    and customer_id not like 'prospect:%'
    and topic is not null
