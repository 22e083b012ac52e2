{{ config(tags=["daily"]) }}

-- The receipts of customers who are gone on with that count now and did not at the last green
-- build, and those of new files that do not count yet.
with added as (
    select
        *,
        true as is_new
    from {{ ref("base_shop__receipt_parts") }}
    where {{ is_in_new_file("transactions") }}
    union all
    select
        *,
        false as is_new
    from {{ ref("base_shop__receipt_parts") }}
    where
        sold_at >= {{ known_as_of() }} and sold_at < {{ as_of() }}
        and not {{ is_in_new_file("transactions") }}
)

select
    touched.customer_id,
    added.currency,
    added.kind,
    added.lines,
    added.units,
    added.amount,
    added.discount,
    added.sold_on,
    added.sold_at,
    added.is_new
from added
inner join {{ ref("int_touched_cards") }} as touched on added.card_id = touched.card_id
where touched.is_gone_on_with
