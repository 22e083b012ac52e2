select
    file_id,
    row_number
from {{ ref("base_shop__repeated_lines") }}
where is_superseded
