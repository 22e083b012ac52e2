{{ config(tags=["daily"]) }}

-- Each member's tier by the last night, and how far it is to the next: what counts for a tier is
-- reckoned as the night does, over the same window, which the build is told (`tiers`).
{% set tiers = var("tiers") %}
with owners as (
    -- Points of a card, or of somebody who was found to be another, are their owner's.
    select
        card_id as member_id,
        customer_id
    from {{ ref("int_card_owners") }}
    union
    select
        customer_id as member_id,
        into_customer_id as customer_id
    from {{ ref("int_merged_customers") }}
),

earned as (
    select
        programme,
        customer_id,
        sum(case when credit like 'member:%' then amount else -amount end) as points
    from {{ ref("stg_engine__point_transfers") }}
    where
        kind in ({{ kinds_that_count() }})
        and business_date < {{ business_date() }}
        and effective_at < {{ as_of() }}
        and programme = '{{ tiers.programme }}'
        and effective_at >= cast('{{ tiers.since }}' as timestamp)
    group by programme, customer_id
),

moves as (
    select
        customer_id,
        tier,
        row_number() over (
            partition by customer_id order by business_date desc, position desc
        ) as place
    from {{ ref("stg_engine__tier_moves") }}
    where business_date < {{ business_date() }} and programme = '{{ tiers.programme }}'
),

points as (
    select
        coalesce(owners.customer_id, earned.customer_id) as customer_id,
        cast(sum(earned.points) as bigint) as qualifying
    from earned
    left join owners on earned.customer_id = owners.member_id
    group by coalesce(owners.customer_id, earned.customer_id)
),

last_moves as (
    select * from moves
    where place = 1
),

standing as (
    select
        coalesce(points.customer_id, moves.customer_id) as customer_id,
        coalesce(moves.tier, 'basic') as tier,
        coalesce(points.qualifying, 0) as qualifying
    from points
    full join last_moves as moves on points.customer_id = moves.customer_id
)

select
    customer_id,
    tier,
    qualifying,
    {{ next_tier("tier") }} as next_tier,
    cast(
        case
            when {{ least_of_next_tier("tier") }} > qualifying
                then {{ least_of_next_tier("tier") }} - qualifying
            when {{ least_of_next_tier("tier") }} is not null then 0
        end as bigint
    ) as points_to_next_tier
from standing
