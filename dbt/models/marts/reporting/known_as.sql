-- Whoever is known by another number by now: merged customers, and prospects who became customers
-- or were noted before under the same address. What was decided and given under the old number is
-- followed by it to where the receipts are.
select
    {{ prospect_key("prospect_id") }} as customer_id,
    customer_id as into_customer_id
from {{ ref("int_prospects") }}
where not is_own_person
union all
select
    customer_id,
    into_customer_id
from {{ ref("int_merged_customers") }}
