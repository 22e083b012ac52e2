select
    programme,
    idem_key
from {{ ref("stg_engine__point_transfers") }}
where amount <= 0 or debit = credit
