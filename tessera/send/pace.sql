-- name: take
-- More than :most ahead nobody waits: the clock was wrong when that was written down.
insert into pace (messenger, free_at) values (:messenger, cast(:now as bigint) + :needed)
on conflict (messenger) do update
set
    free_at = case
        when pace.free_at between cast(:now as bigint) and cast(:now as bigint) + :most then pace.free_at
        else cast(:now as bigint)
    end + :needed
returning free_at

-- name: lock
lock table domain_day in exclusive mode

-- name: days
-- How many days before today each domain was written to, and how many messages it had today.
select
    domain_hash,
    sum(case when day < :day then 1 else 0 end) as before,
    sum(case when day = :day then messages else 0 end) as today
from domain_day
where domain_hash in (select value from {domains})
group by domain_hash

-- name: use
insert into domain_day (domain_hash, day, messages) values (:domain, :day, :messages)
on conflict (domain_hash, day) do update set messages = domain_day.messages + excluded.messages
