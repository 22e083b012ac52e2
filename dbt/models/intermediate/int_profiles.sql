{{ config(materialized="view") }}

-- The register with one row per person. Where customers were merged, the one who joined last has
-- said most recently who they are: their name holds as one, and their address as one, so that no
-- person is made up of halves; what they left out comes from the others. Since when the person is
-- known, and through what, is the first one's.
with customers as (
    select * from {{ ref("stg_shop__customers") }}
),

people as (
    select
        customer_id,
        into_customer_id
    from {{ ref("int_merged_customers") }}
    union
    select
        into_customer_id as customer_id,
        into_customer_id
    from {{ ref("int_merged_customers") }}
),

ranked as (
    select
        customers.*,
        people.into_customer_id,
        row_number() over (
            partition by people.into_customer_id
            order by
                case when customers.joined_at is null then 1 else 0 end,
                customers.joined_at desc,
                customers.customer_id desc
        ) as place
    from customers
    inner join people on customers.customer_id = people.customer_id
),

blocks as (
    select
        into_customer_id,
        coalesce(
            min(case when given_name is not null and family_name is not null then place end),
            min(case when coalesce(given_name, family_name) is not null then place end)
        ) as name_place,
        min(case when coalesce(city, postcode) is not null then place end) as address_place
    from ranked
    group by into_customer_id
),

placed as (
    select
        ranked.*,
        blocks.name_place,
        blocks.address_place
    from ranked
    inner join blocks on ranked.into_customer_id = blocks.into_customer_id
),

merged as (
    select
        into_customer_id as customer_id,
        {{ of_the_first("household_id") }} as household_id,
        max(case when place = name_place then given_name end) as given_name,
        max(case when place = name_place then family_name end) as family_name,
        {{ of_the_first("email") }} as email,
        {{ of_the_first("phone") }} as phone,
        {{ of_the_first("birth_date") }} as birth_date,
        {{ of_the_first("language") }} as language,
        {{ of_the_first("timezone", "address_place") }} as timezone,
        {{ of_the_first("country", "address_place") }} as country,
        max(case when place = address_place then city end) as city,
        max(case when place = address_place then postcode end) as postcode,
        {{ of_the_first("home_store_id") }} as home_store_id,
        {{ of_the_first("acquisition_source", last=true) }} as acquisition_source,
        min(joined_at) as joined_at,
        max(file_id) as file_id
    from placed
    group by into_customer_id
)

select
    customers.customer_id,
    customers.household_id,
    customers.given_name,
    customers.family_name,
    customers.email,
    customers.phone,
    customers.birth_date,
    customers.language,
    customers.timezone,
    customers.country,
    customers.city,
    customers.postcode,
    customers.home_store_id,
    customers.acquisition_source,
    customers.joined_at,
    customers.file_id
from customers
left join people on customers.customer_id = people.customer_id
where people.customer_id is null
union all
select
    customer_id,
    household_id,
    given_name,
    family_name,
    email,
    phone,
    birth_date,
    language,
    timezone,
    country,
    city,
    postcode,
    home_store_id,
    acquisition_source,
    joined_at,
    file_id
from merged
