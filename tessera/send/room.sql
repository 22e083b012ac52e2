-- name: merged
-- People who were found to be one.
select customer_id, into_customer_id from person_merge
where
    is_in_force = 1
    and (
        customer_id in (select value from {people})
        or into_customer_id in (select value from {people})
    )

-- name: near
-- What may count under a cap beside a lease's messages: of the same people and households, what has
-- left or is in somebody's hands. Who was late counts from when the provider took the message. The
-- state is hidden from PostgreSQL: where it last counted when all were ready, it takes those of a lease for
-- one or two, and compares each with all the lease's messages.
select
    message_id,
    customer_id,
    household_id,
    channel,
    tags,
    case when state in ('calling', 'accepted') and state_at > send_at then state_at else send_at end
        as at
from outbox
where
    purpose = 'marketing'
    and state || '' in ('leased', 'calling', 'accepted', 'ambiguous', 'reconciled')
    and send_at > :since and (send_at > :within or state_at > :within)
    and message_id in (
        select message_id from outbox where customer_id in (select value from {people})
        union
        select message_id from outbox where household_id in (select value from {households})
    )

-- name: paces
-- How often people chose to hear from us at most.
select customer_id, value from current_preference
where name = 'frequency' and customer_id in (select value from {people})

-- name: full
-- In DuckDB. The first message of each household for which a cap has no room: a cap counts the message
-- and those less than its span away on either side, of this lease those that go before it.
with placed as (
    select
        near.message_id,
        coalesce(merged.into_customer_id, near.customer_id) as person,
        coalesce(near.household_id, person) as household,
        near.channel,
        string_split(near.tags, ',') as tags,
        greatest(
            cast(left(near.at, 19) as timestamp),
            if(mine.place is null, null, cast(left($at, 19) as timestamp))
        ) as at,
        mine.place
    from near
    left join merged on near.customer_id = merged.customer_id
    left join mine on near.message_id = mine.message_id
    where not list_contains($refused, near.message_id)
),

counted as (
    select *, person as owner, false as per_household from placed
    union all
    select *, household, true from placed
),

over as (
    select
        one.message_id,
        one.household,
        one.place,
        cap.position,
        any_value(cap.label) as label
    from counted as one
    inner join cap on one.per_household = cap.per_household
    left join pace on one.person = pace.customer_id
    inner join counted as other
        on one.owner = other.owner and one.per_household = other.per_household
    where
        one.place is not null
        and (cap.pace is null or cap.pace = pace.value)
        and (
            cap.channel is null
            or (one.channel = cap.channel and other.channel = cap.channel)
        )
        and (
            cap.tag is null
            or (list_contains(one.tags, cap.tag) and list_contains(other.tags, cap.tag))
        )
        and other.at > one.at - to_minutes(cap.minutes)
        and other.at < one.at + to_minutes(cap.minutes)
        and (other.place is null or other.place <= one.place)
    group by one.message_id, one.household, one.place, cap.position, cap.most
    having count(*) > cap.most
)

select
    arg_min(message_id, (place, position)) as message_id,
    arg_min(label, (place, position)) as label
from over
group by household
