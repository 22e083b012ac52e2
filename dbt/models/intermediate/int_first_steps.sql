{{ config(tags=["daily"]) }}

-- The levels of a relationship before the first purchase, up to as_of, and which came next. What
-- happened on one day is one step, to the last level of that day.
with noted as (
    select
        customer_id,
        min(created_at) as created_at
    from {{ ref("int_prospects") }}
    where created_at < {{ as_of() }}
    group by customer_id
),

people as (
    select
        customers.customer_id,
        customers.first_purchase_on,
        engagements.engaged_on,
        {{
            quarter_hour(
                "least(case when customers.joined_at < " ~ as_of()
                ~ " then customers.joined_at end, noted.created_at)"
            )
        }} as known_at
    from {{ ref("customers") }} as customers
    left join noted on customers.customer_id = noted.customer_id
    left join {{ ref("int_customer_engagements") }} as engagements
        on customers.customer_id = engagements.customer_id
),

quarters as (
    select distinct known_at from people
),

clock as (
    select
        known_at,
        {{ local_date("known_at") }} as known_on
    from quarters
),

dated as (
    select
        people.customer_id,
        people.first_purchase_on,
        people.engaged_on,
        clock.known_on
    from people
    left join clock on people.known_at = clock.known_at
),

before_buying as (
    -- The days that came before the next level's.
    select
        customer_id,
        first_purchase_on,
        case
            when known_on < least(engaged_on, first_purchase_on) then known_on
            when coalesce(engaged_on, first_purchase_on) is null then known_on
        end as potential_on,
        case
            when first_purchase_on is null or engaged_on < first_purchase_on then engaged_on
        end as engaged_on
    from dated
)

select
    customer_id,
    'potential' as level,
    cast(null as varchar) as previous_level,
    potential_on as changed_on,
    coalesce(engaged_on, first_purchase_on) as left_on,
    case
        when engaged_on is not null then 'engaged'
        when first_purchase_on is not null then 'new'
    end as next_level
from before_buying
where potential_on is not null
union all
select
    customer_id,
    'engaged' as level,
    case when potential_on is not null then 'potential' end as previous_level,
    engaged_on as changed_on,
    first_purchase_on as left_on,
    case when first_purchase_on is not null then 'new' end as next_level
from before_buying
where engaged_on is not null
