-- A key is one transfer, and gives one lot at most.
select
    programme,
    idem_key
from {{ ref("stg_engine__point_transfers") }}
group by programme, idem_key
having count(*) > 1
union all
select
    programme,
    idem_key
from {{ ref("stg_engine__lots") }}
group by programme, idem_key
having count(*) > 1
