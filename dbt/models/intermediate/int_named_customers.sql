-- Every customer whom a feed other than the receipts names; prospects are people of their own.
select customer_id from {{ ref("int_profiles") }}
union
select customer_id from {{ ref("int_card_owners") }}
where customer_id is not null
union
select customer_id from {{ ref("int_consents") }}
where customer_id not like 'prospect:%'
union
select customer_id from {{ ref("int_interactions") }}
where customer_id is not null
