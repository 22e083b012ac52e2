{{ config(tags=["daily", "report"]) }}

-- The shop's dates whose sales may differ from the last green build's: those of new lines, of lines
-- told again, and of lines that as_of has passed in either direction.
with new_lines as (
    select
        transaction_id,
        sold_at
    from {{ ref("base_shop__transactions") }}
    where {{ is_in_new_file("transactions") }}
),

moments as (
    select {{ quarter_hour("sold_at") }} as quarter
    from new_lines
    union
    select {{ quarter_hour("sold_at") }} as quarter
    from {{ ref("base_shop__transactions") }}
    where sold_at < {{ turned_until() }} and sold_at >= {{ turned_from() }}
    union
    select {{ quarter_hour("repeated.sold_at") }} as quarter
    from {{ ref("base_shop__repeated_lines") }} as repeated
    where repeated.transaction_id in (select new_lines.transaction_id from new_lines)
)

select distinct {{ local_date("quarter") }} as sold_on
from moments
where {{ is_known() }}
