-- name: macros
-- DuckDB. What a raw line is made of, for a line that could not be cut into its columns.
create or replace macro tokens(line) as
    list_transform(regexp_split_to_array(line, '[,;\t|"]'), lambda t: lower(trim(t)));

-- Whose account one side of a transfer is.
create or replace macro owner(side) as
    nullif(regexp_extract(side, '^member:(.*):[^:]*$', 1), '');

-- A keyed hash in the way of HMAC: without the key nobody can try out the numbers of all cards.
create or replace macro keyed(kind, v) as
    sha256(getvariable('erasure_key') || sha256(getvariable('erasure_key') || kind || ':' || v));

-- name: theirs
-- DuckDB. Whose rows are looked for: identifiers in the clear, by kind.
create or replace temp table theirs (kind varchar, value varchar)

-- name: known
-- DuckDB. Those of a file's identifiers that belong to erased people.
insert into theirs
select distinct '{kind}', v from (select distinct {value} as v from {rows})
where keyed('{kind}', v) in (select "hash" from erased where kind = '{kind}')

-- name: all
select kind, hash from erased_identifier

-- name: anybody
select 1 from erased_identifier limit 1

-- name: is_known
select 1 from erased_identifier where kind = 'card' and hash = :hash

-- name: add
insert into erased_identifier (kind, hash) values (:kind, :hash) on conflict do nothing
