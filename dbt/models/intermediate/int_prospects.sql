-- Who a prospect is: the customer with the same e-mail address, or else a person of their own. Of
-- prospects who share an address the first noted stands for all, so that the key stays, also from
-- day to day: whoever was not noted by as_of came after the first, and is told by created_at.
with prospects as (
    select
        prospect_id,
        lower(trim(email)) as address,
        created_at
    from {{ ref("stg_shop__prospects") }}
    where created_at is not null
),

customers as (
    select
        lower(trim(email)) as address,
        min(customer_id) as customer_id
    from {{ ref("int_profiles") }}
    where lower(trim(email)) in (select prospects.address from prospects)
    group by lower(trim(email))
),

named as (
    select
        *,
        first_value(prospect_id) over (
            partition by coalesce(address, concat('without ', prospect_id))
            order by created_at asc, prospect_id asc
        ) as first_prospect_id
    from prospects
)

select
    named.prospect_id,
    coalesce(customers.customer_id, {{ prospect_key("named.first_prospect_id") }}) as customer_id,
    customers.customer_id is null and named.prospect_id = named.first_prospect_id as is_own_person,
    named.created_at
from named
left join customers on named.address = customers.address
