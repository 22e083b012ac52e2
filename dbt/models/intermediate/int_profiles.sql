{{ config(materialized="view") }}

-- The register with one row per person: where customers were merged, what the one lacks the other
-- may have.
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
        people.into_customer_id as customer_id,
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
        customers.file_id,
        row_number() over (
            partition by people.into_customer_id
            order by
                case when people.customer_id = people.into_customer_id then 0 else 1 end,
                people.customer_id
        ) as place
    from customers
    inner join people on customers.customer_id = people.customer_id
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
    own.customer_id,
    coalesce(own.household_id, more.household_id) as household_id,
    coalesce(own.given_name, more.given_name) as given_name,
    coalesce(own.family_name, more.family_name) as family_name,
    coalesce(own.email, more.email) as email,
    coalesce(own.phone, more.phone) as phone,
    coalesce(own.birth_date, more.birth_date) as birth_date,
    coalesce(own.language, more.language) as language,
    coalesce(own.timezone, more.timezone) as timezone,
    coalesce(own.country, more.country) as country,
    coalesce(own.city, more.city) as city,
    coalesce(own.postcode, more.postcode) as postcode,
    coalesce(own.home_store_id, more.home_store_id) as home_store_id,
    coalesce(own.acquisition_source, more.acquisition_source) as acquisition_source,
    coalesce(own.joined_at, more.joined_at) as joined_at,
    coalesce(own.file_id, more.file_id) as file_id
from ranked as own
left join ranked as more on own.customer_id = more.customer_id and more.place = 2
where own.place = 1
