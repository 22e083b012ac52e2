-- What a table has beside its rows and its primary key: how each is taken down, and made.

-- name: sqlite
select 'drop index ' || name as takes_down, sql as makes
from sqlite_master
where type = 'index' and tbl_name = :table and sql is not null
order by rowid

-- name: postgresql
-- Foreign keys, and what stands for them, last: they need unique ones.
select
    case contype when 'f' then 3 else 1 end as place, cast(oid as bigint) as made,
    format('alter table %s drop constraint %I', cast(conrelid as regclass), conname) as takes_down,
    format(
        'alter table %s add constraint %I %s',
        cast(conrelid as regclass), conname, pg_get_constraintdef(oid)
    ) as makes
from pg_constraint
where conrelid = cast(:table as regclass) and contype in ('f', 'u')
union all
select 2, cast(indexrelid as bigint), format('drop index %s', cast(indexrelid as regclass)), pg_get_indexdef(indexrelid)
from pg_index
where indrelid = cast(:table as regclass) and not indisunique
union all
select
    4, cast(oid as bigint),
    format('alter table %s disable trigger %I', cast(tgrelid as regclass), tgname),
    format(
        'do $$ begin if exists (select from %I) then raise foreign_key_violation using '
        'message = ''a row of %s names what is not there''; end if; '
        'alter table %s enable trigger %I; end $$',
        cast(tgrelid as regclass) || '_astray', cast(tgrelid as regclass), cast(tgrelid as regclass), tgname
    )
from pg_trigger
where tgrelid = cast(:table as regclass) and tgnewtable is not null
order by place, made
