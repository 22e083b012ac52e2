{{ config(tags=["daily", "report"]) }}

-- What each source brought and what it cost, up to the business date. A period's cost that is not
-- over yet counts for the days gone by. Margins are estimated at the shop's rate.
with currency as (
    select * from {{ ref("int_shop_currency") }}
),

people as (
    select
        coalesce(customers.acquisition_source, 'unknown') as acquisition_source,
        count(*) as people,
        sum(case when customers.prospect_id is not null then 1 else 0 end) as prospects,
        sum(case when customers.receipts > 0 then 1 else 0 end) as customers,
        sum(
            case when customers.currency = currency.currency then customers.revenue else 0 end
        ) as revenue
    from {{ ref("customers") }} as customers
    left join currency on true
    group by coalesce(customers.acquisition_source, 'unknown')
),

spent as (
    select
        costs.acquisition_source,
        sum(
            costs.cost * case
                when costs.period_end >= {{ business_date() }}
                    then
                        cast({{ days_between("costs.period_start", business_date()) }} as double)
                        / ({{ days_between("costs.period_start", "costs.period_end") }} + 1)
                else 1
            end
        ) as cost
    from {{ ref("stg_shop__source_costs") }} as costs
    inner join currency on costs.currency = currency.currency
    where costs.period_start < {{ business_date() }}
    group by costs.acquisition_source
),

figures as (
    select
        coalesce(people.acquisition_source, spent.acquisition_source) as acquisition_source,
        coalesce(people.people, 0) as people,
        coalesce(people.prospects, 0) as prospects,
        coalesce(people.customers, 0) as customers,
        coalesce(people.revenue, 0) as revenue,
        coalesce(spent.cost, 0) as cost
    from people
    full join spent on people.acquisition_source = spent.acquisition_source
)

select
    figures.acquisition_source,
    currency.currency,
    cast(figures.people as bigint) as people,
    cast(figures.prospects as bigint) as prospects,
    cast(figures.customers as bigint) as customers,
    cast(round(figures.cost) as bigint) as cost,
    cast(round(figures.cost / nullif(figures.customers, 0)) as bigint) as cost_per_customer,
    cast(figures.revenue as bigint) as revenue,
    cast(round(figures.revenue * currency.margin_rate) as bigint) as margin,
    cast(
        round(figures.revenue * coalesce(currency.margin_rate, 1) - figures.cost) as bigint
    ) as profit,
    cast(
        row_number() over (
            order by
                figures.revenue * coalesce(currency.margin_rate, 1) - figures.cost desc,
                figures.acquisition_source
        ) as bigint
    ) as place
from figures
left join currency on true
