-- Bad rows planted in one file's rows (table `good`, in file order: its rowid is the place).
-- Variables: feed, file, stem (the file's name without its format), bad_rows.

-- name: ways
create table ways as
select *, (row_number() over (partition by feed order by n) - 1)::integer as way
from (select *, row_number() over () as n from incoming);

-- name: planted
create table planted (
    feed varchar,
    file varchar,
    row_number bigint,
    key varchar,
    "column" varchar,
    rule varchar,
    kind varchar,
    value varchar
);

-- name: chosen
-- Exactly `bad_rows` rows by lot; the ways take turns, beginning with another one in every file.
create or replace temp table chosen as
with drawn as (
    select rowid as place, draw('bad ' || getvariable('stem'), rowid) as lot
    from good
    order by lot, place
    limit getvariable('bad_rows')
), numbered as (
    select
        place,
        row_number() over (order by lot, place)
            + pick('first ' || getvariable('stem'), 0, 1000) as turn
    from drawn
), known as (
    select * from ways where feed = getvariable('feed')
)
select n.place, w.way, w.rule = 'duplicate_key' as comes_again
from numbered as n
inner join known as w on w.way = n.turn % (select count(*) from known);

-- name: spoilt
-- A row that comes again stays good where it was; its double stands at the end of the file.
create or replace temp table spoilt as
select g.rowid as place, c.way, g.*
from good as g
left join chosen as c on c.place = g.rowid and not c.comes_again
union all
select (select count(*) from good) + row_number() over (order by c.place) - 1, c.way, g.*
from chosen as c
inner join good as g on g.rowid = c.place
where c.comes_again
order by place;

-- name: list
insert into planted
select getvariable('feed'), getvariable('file'), place + 1, row_key, w."column", w.rule, w.kind, $value
from (select *, $key as row_key from spoilt where way is not null) as s
inner join ways as w on w.feed = getvariable('feed') and w.way = s.way
order by place;
