-- name: begin
insert into run (business_date, as_of, started_at, state, summary)
values (:business_date, :as_of, :started_at, 'running', '{}')
returning run_id

-- name: note
-- A run says after every stage how far it came, so that a killed one leaves that behind.
update run set summary = :summary where run_id = :run_id

-- name: end
update run set state = :state, finished_at = :finished_at, summary = :summary
where run_id = :run_id

-- name: abandon
-- Called under the home's lock: whatever still says 'running' was killed.
update run set state = 'killed', finished_at = :finished_at
where state = 'running'

-- name: is_done
select exists(select 1 from run where business_date = :business_date and state = 'finished') as is_done

-- name: timed
-- The first run of the day that came through (or is about to): a second run, which finds
-- everything done, says nothing about how long the day takes.
select run_id, state, summary
from run
where business_date = :business_date and state in ('running', 'finished')
order by run_id
limit 1
