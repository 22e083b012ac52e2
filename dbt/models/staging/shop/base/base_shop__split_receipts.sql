{{ config(materialized="incremental", unique_key="transaction_id") }}

-- Most receipts have one part. Hashes find the others: comparing every text would take twice as
-- long, and a receipt that only shares a hash has one part all the same.
with new_receipts as (
    select distinct transaction_id from {{ ref("base_shop__receipt_parts") }}
    where {{ is_in_new_file("transactions") }}
),

parts as (
    select
        parts.transaction_id,
        parts.file_id,
        {{ quick_hash("parts.transaction_id") }} as hashed
    from {{ ref("base_shop__receipt_parts") }} as parts
    {% if is_incremental() %}
    inner join new_receipts on parts.transaction_id = new_receipts.transaction_id
    {% endif %}
),

candidates as (
    select hashed from parts
    group by hashed
    having count(*) > 1
)

select
    parts.transaction_id,
    count(*) as parts,
    count(distinct parts.file_id) as files
from parts
inner join candidates on parts.hashed = candidates.hashed
group by parts.transaction_id
having count(*) > 1
