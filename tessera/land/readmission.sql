-- name: macros
-- DuckDB. Texts of an export back in their types; null when they are not of them. Money is in minor
-- units here: "12.34" is not an integer, and so is not taken for 12. The quote before a formula is the export's.
create or replace macro given(t) as nullif(trim(regexp_replace(t, '^''(''*[=+@\t\r\n-])', '\1')), '');
create or replace macro exact_integer(t) as
    case when regexp_full_match(t, '[+-]?\d+') then try_cast(t as bigint) end;
create or replace macro exact_decimal(t) as
    case when regexp_full_match(t, '[+-]?\d+(\.\d+)?') then try_cast(t as decimal(18, 3)) end;
create or replace macro exact_boolean(t) as
    case when lower(t) in ('true', 'yes', '1') then true when lower(t) in ('false', 'no', '0') then false end;
create or replace macro exact_date(t) as
    case when regexp_full_match(t, '\d{4}[-/]\d{1,2}[-/]\d{1,2}') then try_cast(t as date) end;
create or replace macro exact_moment(t) as
    case
        when regexp_matches(t, ':\d\d(\.\d+)?\s*(Z|UTC|[+-]\d\d(:?\d\d)?)$')
            then timezone('UTC', try_cast(t as timestamptz))
        when regexp_matches(t, '^\d{4}[-/]') then try_cast(t as timestamp)
    end;

-- name: fixed
-- DuckDB. The offered rows of a feed that are still open.
create or replace temp table fixed as
select q.file_id, q.row_number, {texts}
from offered as o
inner join open_row as q
    on q.file_id = try_cast(o.file_id as bigint) and q.row_number = try_cast(o.row_number as bigint)
where q.feed = $feed and o.feed = $feed

-- name: strange
-- DuckDB. Offered rows that never were in quarantine, or are offered twice.
with pairs as (
    select file_id, row_number, feed,
        (try_cast(file_id as bigint), try_cast(row_number as bigint)) as pair
    from offered
)
select file_id, row_number from pairs
where (
        (pair, feed) not in (select ((file_id, row_number), feed) from open_row)
        and pair not in (select (file_id, row_number) from readmitted)
    )
    or pair in (select pair from pairs group by pair having count(*) > 1)
limit 1

-- name: already
-- DuckDB. How many of the offered rows were re-admitted before.
select count(*) from offered
where (try_cast(file_id as bigint), try_cast(row_number as bigint))
    in (select (file_id, row_number) from readmitted)

-- name: typed
-- DuckDB. The rows of `fixed` (text) as canonical rows, as a landing would write them. Those of later files
-- come first: of rows with one key the first is good.
with typed as (select *, {typed} from fixed)
select
    {columns},
    row_number() over (order by file_id desc, row_number) as _row_number,
    case when {failed} then map_from_entries(
        list_filter([{entries}], lambda e: e.value is not null)
    ) end as _cast_errors
from typed
order by _row_number

-- name: origins
-- DuckDB. Which quarantined row each of them was.
select row_number() over (order by file_id desc, row_number) as row_number,
    file_id as from_file_id, row_number as from_row_number
from fixed
order by 1

-- name: fingerprint
select sha256(string_agg(fixed::varchar, chr(10) order by file_id, row_number)) from fixed

-- name: let_in
select file_id, content_hash from landed_file
where source = 'readmitted' and feed = :feed and verdict = 'accepted'

-- name: attempts
select count(*) from landed_file
where source = 'readmitted' and content_hash like :fingerprint and verdict is not null

-- name: file
select file_id from landed_file
where source = 'readmitted' and feed = :feed and content_hash = :content_hash

-- name: origin
create or replace table origin as
select $file_id::bigint as file_id, * from read_parquet($path)

-- name: came_from
-- DuckDB. Of rows that were let in before, the file that each was in first: it says which is the later.
insert into came_from
select $file_id, row_number, from_file_id from read_parquet($path)

-- name: closed
-- DuckDB. A row is re-admitted once.
insert into reason
select o.file_id, o.row_number, $column, 'readmitted'
from origin as o
semi join readmitted as r on r.file_id = o.from_file_id and r.row_number = o.from_row_number

-- name: overtaken
-- DuckDB. The later file wins: a row out of an old file must not come back over one that took its
-- place since, be it by way of quarantine. Where its own file has a good row of that key, the row is still
-- the second of two.
insert into reason
select o.file_id, o.row_number, $column,
    if(bool_or(v.file_id = o.from_file_id), 'duplicate_key', 'superseded')
from origin as o
inner join landed as l on l.file_id = o.file_id and l._row_number = o.row_number
inner join
    read_parquet($others, hive_partitioning = true, hive_types = {{'file_id': bigint}}) as v
    on {same_key} and v.file_id <> o.file_id
left join came_from as c on v.file_id = c.file_id and v._row_number = c.row_number
where coalesce(c.from_file_id, v.file_id) >= o.from_file_id
group by o.file_id, o.row_number

-- name: passed
-- DuckDB. The quarantined rows whose corrected ones are good.
select o.from_file_id as file_id, o.from_row_number as row_number
from origin as o
anti join bad_row as b on b.file_id = o.file_id and b.row_number = o.row_number
where o.file_id = $file_id

-- name: outcome
select count(*) from readmission where into_file_id = :file_id
