-- Lines read = lines in the receipts in force + lines that a later file said again.
with read as (
    select count(*) as lines from {{ ref("base_shop__transactions") }}
),

in_force as (
    select coalesce(sum(lines), 0) as lines from {{ ref("int_receipt_parts") }}
),

superseded as (
    select count(*) as lines from {{ ref("base_shop__repeated_lines") }}
    where is_superseded
)

select
    read.lines as lines_read,
    in_force.lines as lines_in_force,
    superseded.lines as lines_superseded
from read
cross join in_force
cross join superseded
where read.lines <> in_force.lines + superseded.lines
