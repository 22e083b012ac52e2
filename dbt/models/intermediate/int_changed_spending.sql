{{ config(tags=["daily"]) }}
{% set columns = "card_id, product_id, amount, sold_at, file_id, row_number" %}

-- A line counts if no later file says it again, it was sold before as_of, and its product has a
-- category. Of the lines for which any of that may have changed, this is what counts now less what
-- counted at the last green build.
with repeated as (
    select
        *,
        file_id < max(
            case when {{ is_in_new_file("transactions") }} then 0 else file_id end
        ) over (partition by transaction_id, line_id) as was_superseded
    from {{ ref("base_shop__repeated_lines") }}
),

products as (
    select
        product_id,
        category,
        changed_in = '{{ var("build") }}' as is_changed,
        case
            when changed_in = '{{ var("build") }}' then previous_category else category
        end as category_before
    from {{ ref("int_product_categories") }}
),

changed_products as (
    -- Without a new file of products there is no need to look at the lines.
    select product_id from products
    where is_changed and {{ "true" if new_files("products") else "false" }}
),

lines as (
    select {{ columns }} from {{ ref("base_shop__transactions") }}
    where {{ is_in_new_file("transactions") }}
    union
    select {{ columns }} from {{ ref("base_shop__transactions") }}
    where sold_at < {{ turned_until() }} and sold_at >= {{ turned_from() }}
    union
    select {{ columns }} from repeated
    where is_superseded <> was_superseded
    union
    select {{ columns }} from {{ ref("base_shop__transactions") }}
    where product_id in (select changed.product_id from changed_products as changed)
),

standing as (
    select
        file_id as told_in,
        row_number as told_at,
        is_superseded,
        was_superseded
    from repeated
),

judged as (
    select
        lines.card_id,
        lines.amount,
        products.category,
        products.category_before,
        not coalesce(standing.is_superseded, false)
        and lines.sold_at < {{ as_of() }} as counts,
        not {{ is_in_new_file("transactions") }}
        and not coalesce(standing.was_superseded, false)
        and lines.sold_at < {{ known_as_of() }} as counted
    from lines
    inner join products on lines.product_id = products.product_id
    left join standing
        on lines.file_id = standing.told_in and lines.row_number = standing.told_at
    where lines.card_id is not null and {{ is_known() }}
),

changes as (
    select
        card_id,
        category,
        amount
    from judged
    where counts and category is not null
    union all
    select
        card_id,
        category_before as category,
        -amount as amount
    from judged
    where counted and category_before is not null
)

select
    card_id,
    category,
    cast(sum(amount) as bigint) as amount
from changes
group by card_id, category
having sum(amount) <> 0
