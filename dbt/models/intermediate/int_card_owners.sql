{{ config(materialized="incremental", unique_key="card_id") }}

-- A replaced card and those that followed it belong to one customer: the owner of the last of
-- them that the cards feed knows. Cards without a row or a predecessor belong to nobody here.
with cards as (
    select * from {{ ref("stg_shop__cards") }}
),

hops_0 as (
    select
        card_id,
        replaced_by_card_id as last_card_id
    from cards
    where replaced_by_card_id is not null
),

{# Each round doubles how far a card looks ahead: six rounds follow 64 replacements. #}
{% for round in range(1, 7) %}
hops_{{ round }} as (
    select
        near.card_id,
        coalesce(far.last_card_id, near.last_card_id) as last_card_id
    from hops_{{ round - 1 }} as near
    left join hops_{{ round - 1 }} as far on near.last_card_id = far.card_id
),
{% endfor %}

chains as (
    -- A ring of replacements has no last card; its cards stay with their own owners.
    select
        hops_6.card_id,
        hops_6.last_card_id
    from hops_6
    left join hops_0 on hops_6.last_card_id = hops_0.card_id
    where hops_0.card_id is null
),

members as (
    select
        card_id,
        last_card_id
    from chains
    union
    select
        last_card_id as card_id,
        last_card_id
    from chains
),

ranked as (
    select
        members.last_card_id,
        cards.customer_id,
        row_number() over (
            partition by members.last_card_id
            order by
                case when cards.card_id = members.last_card_id then 0 else 1 end,
                case when cards.issued_at is null then 1 else 0 end,
                cards.issued_at desc,
                cards.card_id desc
        ) as place
    from members
    inner join cards on members.card_id = cards.card_id
),

owners as (
    select
        members.card_id,
        ranked.customer_id,
        members.card_id = members.last_card_id as is_last
    from members
    inner join ranked on members.last_card_id = ranked.last_card_id and ranked.place = 1
    union all
    select
        cards.card_id,
        cards.customer_id,
        cards.replaced_by_card_id is null as is_last
    from cards
    left join members on cards.card_id = members.card_id
    where members.card_id is null
),

merged as (
    select * from {{ ref("int_merged_customers") }}
),

known as (
    select
        owners.card_id,
        coalesce(merged.into_customer_id, owners.customer_id) as customer_id,
        owners.is_last
        and (cards.blocked_at is null or cards.blocked_at >= {{ as_of() }}) as is_live,
        cards.issued_at
    from owners
    left join cards on owners.card_id = cards.card_id
    left join merged on owners.customer_id = merged.customer_id
    union all
    -- A card without a customer behind it is a customer of its own, and may be merged as one.
    select
        merged.customer_id as card_id,
        merged.into_customer_id as customer_id,
        true as is_live,
        cast(null as timestamp) as issued_at
    from merged
    left join owners
        on merged.customer_id = owners.card_id or merged.customer_id = owners.customer_id
    left join {{ ref("stg_shop__customers") }} as registered
        on merged.customer_id = registered.customer_id
    where owners.card_id is null and registered.customer_id is null
)

{% if is_incremental() %}
select
    coalesce(known.card_id, before.card_id) as card_id,
    known.customer_id,
    before.customer_id as previous_customer_id,
    '{{ var("build") }}' as changed_in,
    coalesce(known.is_live, false) as is_live,
    known.issued_at
from known
full join {{ this }} as before on known.card_id = before.card_id
where
    known.customer_id is distinct from before.customer_id
    or known.is_live is distinct from before.is_live
    or known.issued_at is distinct from before.issued_at
{% else %}
select
    card_id,
    customer_id,
    cast(null as varchar) as previous_customer_id,
    '{{ var("build") }}' as changed_in,
    is_live,
    issued_at
from known
{% endif %}
