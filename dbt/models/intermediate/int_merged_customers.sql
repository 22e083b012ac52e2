-- Customers who were found to be somebody else: whose cards, words and profile theirs are.
select
    customer_id,
    into_customer_id
from {{ ref("stg_engine__person_merges") }}
where is_in_force
