-- People who were exposed to a campaign beside people who were not, with no lot between them.

-- name: own
select
    entrant.customer_id,
    entrant.is_written as is_exposed,
    coalesce(sum(sold.revenue) filter (sold.day < entrant.candidate_on), 0) as before,
    coalesce(sum(sold.revenue) filter (sold.day >= entrant.candidate_on), 0) as after
from entrant
left join sold
    on
        entrant.customer_id = sold.customer_id
        and sold.day >= entrant.candidate_on - cast($days as integer)
        and sold.day < entrant.candidate_on + cast($days as integer)
where entrant.campaign = $campaign and entrant.candidate_on <= $last
group by entrant.customer_id, entrant.is_written
order by entrant.customer_id

-- name: in_one
select distinct
    cast({campaign} as varchar) as campaign,
    cast({customer} as varchar) as customer_id,
    try_cast(cast({starts_on} as varchar) as date) as starts_on
from given
where {campaign} is not null and {customer} is not null

-- name: with_dates
select distinct
    cast(exposed.{campaign} as varchar) as campaign,
    cast(exposed.{customer} as varchar) as customer_id,
    try_cast(cast(given.{starts_on} as varchar) as date) as starts_on
from exposed
left join given on cast(exposed.{campaign} as varchar) = cast(given.{campaign} as varchar)
where exposed.{campaign} is not null and exposed.{customer} is not null

-- name: undated
select campaign from exposure where starts_on is null order by campaign limit 1

-- name: past
-- Everybody who had bought before the campaign began; whose days after it are not all known, such as
-- those of a campaign that has just begun, is left out.
with campaign as (
    select campaign, min(starts_on) as starts_on from exposure group by campaign
),

known as (
    select customer_id, min(day) as first_on from sold where has_bought group by customer_id
),

who as (
    select
        campaign.campaign,
        campaign.starts_on,
        known.customer_id,
        exposure.customer_id is not null as is_exposed,
        coalesce(exposure.starts_on, campaign.starts_on) as counted_from
    from campaign
    inner join known on known.first_on < campaign.starts_on
    left join exposure
        on campaign.campaign = exposure.campaign and known.customer_id = exposure.customer_id
    where
        campaign.starts_on + cast($days as integer) <= (select max(day) + 1 from sold)
        and campaign.starts_on - cast($days as integer) >= (select min(day) from sold)
)

select
    who.campaign,
    who.starts_on,
    who.customer_id,
    who.is_exposed,
    coalesce(sum(sold.revenue) filter (sold.day < who.counted_from), 0) as before,
    coalesce(sum(sold.revenue) filter (sold.day >= who.counted_from), 0) as after
from who
left join sold
    on
        who.customer_id = sold.customer_id
        and sold.day >= who.counted_from - cast($days as integer)
        and sold.day < who.counted_from + cast($days as integer)
group by all
order by who.campaign, who.customer_id
