-- name: quarantined
-- DuckDB. The bad rows of a file (table `bad`) with their reasons, in the order of the feed's columns.
create or replace table quarantined as
with texts as materialized (
    select
        _row_number as row_number,
        {row_key} as row_key,
        case
            when _cast_errors['_row'] is not null then json_object('_row', _cast_errors['_row'])
            else to_json({row})
        end as "row"
    from bad
), reasons as (
    select
        r.row_number,
        list(
            {{
                'column': r."column",
                'rule': r.rule,
                'value': if(r.rule = 'duplicate_key', t.row_key, t."row" ->> r."column")
            }}
            order by list_position($columns, r."column"), r.rule
        ) as reasons
    from reason as r
    inner join texts as t using (row_number)
    where r.file_id = $file_id
    group by r.row_number
)
select
    $source as source,
    $feed as feed,
    $file_id::bigint as file_id,
    $name as file,
    t.row_number,
    t.row_key,
    r.reasons,
    t."row"::varchar as "row"
from texts as t
inner join reasons as r using (row_number)
order by t.row_number

-- name: numbers
-- DuckDB. The bad rows of a file.
select row_number from bad_row where file_id = ?

-- name: readmitted
select file_id, row_number from readmission

-- name: files
-- The accepted files that have quarantined rows.
select file_id, feed from landed_file
where verdict = 'accepted' and bad_rows > 0 and source <> 'readmitted'
order by file_id

-- name: refused
select file_id, source, feed, name as file, rows, verdict_reason as reason
from landed_file where verdict = 'refused' order by file_id

-- name: counts
with original as (
    select
        feed,
        sum(rows) as landed,
        sum(case when verdict = 'accepted' then good_rows else 0 end) as good,
        sum(case when verdict = 'accepted' then bad_rows else 0 end) as bad,
        sum(case when verdict = 'refused' then rows else 0 end) as refused,
        sum(case when verdict is null then rows else 0 end) as waiting
    from landed_file
    where source <> 'readmitted'
    group by feed
), back as (
    select f.feed, count(*) as readmitted
    from readmission as r
    inner join landed_file as f on f.file_id = r.file_id
    group by f.feed
)
select
    o.feed, o.landed, o.good, o.bad, coalesce(b.readmitted, 0) as readmitted, o.refused, o.waiting
from original as o
left join back as b on b.feed = o.feed
order by o.feed

-- name: empty
create temp table open_row (
    source varchar, feed varchar, file_id bigint, file varchar, row_number bigint, row_key varchar,
    reasons struct("column" varchar, rule varchar, value varchar)[], "row" varchar
)

-- name: fill
insert into open_row
select q.source, q.feed, q.file_id, q.file, q.row_number, q.row_key, q.reasons, q."row"
from read_parquet($files, hive_partitioning = false) as q
anti join readmitted as r on r.file_id = q.file_id and r.row_number = q.row_number
where $rule is null or list_contains(list_transform(q.reasons, lambda r: r.rule), $rule)

-- name: grouped
select q.feed, q.source, q.file_id, q.file, r."column", r.rule, count(*) as "rows"
from open_row as q, unnest(q.reasons) as t (r)
where $rule is null or r.rule = $rule
group by all
order by q.feed, q.file_id, r.rule, r."column"

-- name: listed
select feed, source, file_id, file, row_number, row_key, reasons
from open_row
order by file_id, row_number
limit $limit

-- name: macros
-- DuckDB. A text that a spreadsheet would take for a formula, with a quote before it, which re-admission
-- takes away; a negative number is none.
create or replace macro no_formula(t) as
    case
        when regexp_matches(t, '^''*[=+@\t\r\n-]') and not regexp_full_match(t, '-\d+([.,]\d+)*')
            then concat('''', t)
        else t
    end;

-- name: exported
copy (
    select
        q.feed,
        q.file_id,
        no_formula(q.file) as file,
        q.row_number,
        array_to_string(
            list_transform(
                q.reasons,
                lambda r: r."column" || ': ' || r.rule || coalesce(' (' || r.value || ')', '')
            ),
            '; '
        ) as reasons,
        {columns},
        no_formula(q."row" ->> '_row') as _row
    from open_row as q
    order by q.file_id, q.row_number
) to {path} (format csv, header)
