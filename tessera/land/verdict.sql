-- name: pending
select file_id, source, feed, name, rows, landed_at, content_hash, verdict_reason
from landed_file
where verdict is null
order by file_id

-- name: usual
-- The files of one source and feed that were accepted at an earlier landing or on an earlier day:
-- what came in together is not measured against itself.
select rows, first_date, last_date
from landed_file
where source = :source and feed = :feed and verdict = 'accepted' and file_id < :file_id
    and (landed_at < :landed_at or judged_at < :as_of)

-- name: accepted
select file_id, source, feed, name, rows, bad_rows from landed_file
where verdict = 'accepted'
order by file_id

-- name: judged
update landed_file
set verdict = :verdict, verdict_reason = :verdict_reason, judged_at = :judged_at,
    good_rows = :good_rows, bad_rows = :bad_rows, first_date = :first_date, last_date = :last_date
where file_id = :file_id and verdict is null

-- name: allow
-- Judged once more, by the row rules only.
update landed_file
set verdict = null, verdict_reason = 'allowed', judged_at = null
where file_id = :file_id and verdict = 'refused'

-- name: one
select file_id, source, feed, name, verdict, verdict_reason from landed_file
where file_id = :file_id

-- name: bad_rows
create or replace table bad_row as select distinct file_id, row_number from reason

-- name: counted
-- DuckDB. Bad rows and repeated keys of each file.
select
    file_id,
    count(distinct row_number) as bad_rows,
    count(*) filter (where rule = 'duplicate_key') as repeated
from reason
group by file_id

-- name: commonest
-- DuckDB. What most of the bad rows of each file have in common.
select file_id, arg_max("column" || ' (' || rule || ')', found) as commonest
from (select file_id, "column", rule, count(*) as found from reason group by all)
group by file_id

-- name: miscast
-- DuckDB. How many values of a column are not of its type.
select file_id, "column", count(*) as failed
from reason
where rule = 'type' and "column" <> '_row'
group by file_id, "column"
having failed >= $at_least

-- name: dated
-- DuckDB. The days of each file: first and last of its good rows, and the middle of all its rows.
with days as (
    select l.file_id, l.{dated_by}::date as day, count(*) as found, count(*) - count(b.row_number) as good
    from landed as l
    left join bad_row as b on b.file_id = l.file_id and b.row_number = l._row_number
    where l.{dated_by} is not null
    group by all
), summed as (
    select *, sum(found) over (partition by file_id order by day) as so_far,
        sum(found) over (partition by file_id) as in_all
    from days
)
select
    file_id,
    min(day) filter (where good > 0) as first_date,
    max(day) filter (where good > 0) as last_date,
    min(day) filter (where 2 * so_far >= in_all) as middle
from summed
group by file_id

-- name: view
-- DuckDB. The rows of a batch.
create or replace view landed as
select * from read_parquet([{files}], hive_partitioning = true, hive_types = {{'file_id': bigint}})

-- name: reason
-- DuckDB. Why a row is bad, once for each rule that its columns break.
create or replace table reason (file_id bigint, row_number bigint, "column" varchar, rule varchar)

-- name: broken
insert into reason
select file_id, _row_number, {column}, {rule} from ({query}) as broken

-- name: knock_on
-- DuckDB. A value that is not of its type is null in its column, but it was not missing.
delete from reason using (
    select file_id, row_number, "column" from reason where rule = 'type'
) as t
where reason.rule = 'not_null'
    and reason.file_id = t.file_id
    and reason.row_number = t.row_number
    and t."column" in (reason."column", '_row')
