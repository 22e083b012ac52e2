{# Which of a feed's files arrived since the last green build. Without the list of those, which
   `tessera run` gives, every file is new, which is slower but as right. #}
{% macro new_files(feed) %}
    {% set new = var("files") if var("new") is none else var("new") %}
    {{ return(new.get(feed, [])) }}
{% endmacro %}

{# Whether a row's file is one of those, told by bounds: DuckDB asks it of each file. #}
{% macro is_in_new_file(feed) -%}
    {%- if not new_files(feed) -%} false
    {%- elif var("new") is none -%} true
    {%- else -%}
    (
        {%- for first, last in var("spans")[feed] -%}
        {{- " or " if not loop.first -}} file_id between {{ first }} and {{ last }}
        {%- endfor -%}
    )
    {%- endif -%}
{%- endmacro %}

{# The rows of a feed's validated files as one typed relation, empty when there is no file yet.
   Columns and types come from the model's own description. The files are those that the build was
   asked to read, and not one that came since: a view of them is made anew by each build. #}
{% macro landed(relation, new_only=false) %}
    {% set feed = relation.identifier %}
    {% set files = new_files(feed) if new_only else var("files").get(feed, []) %}
    {% set columns = model.columns.values() | rejectattr("name", "in", ["file_id", "row_number"]) %}
    select
        {% for column in columns -%}
        cast({{ column.name if files else "null" }} as {{ column.data_type }}) as {{ column.name }},
        {% endfor -%}
        cast({{ "_row_number" if files else "null" }} as bigint) as row_number,
        cast({{ "file_id" if files else "null" }} as bigint) as file_id
    {% if files -%} from {{ parquet_files(feed, files, [] if new_only else var("packs").get(feed, [])) }} {%- else -%} where false {%- endif %}
{% endmacro %}

{# The rows of a feed's files, of which many may have been put together in packs: these know their files by
   themselves. #}
{% macro parquet_files(feed, file_ids, packs) -%}
    {{ return(adapter.dispatch("parquet_files", "tessera")(feed, file_ids, packs)) }}
{%- endmacro %}

{% macro duckdb__parquet_files(feed, file_ids, packs) -%}
    {%- set folder = var("validated") ~ "/" ~ feed -%}
    {%- set loose = var("loose")[feed] if packs else file_ids -%}
    {%- set parts = [] -%}
    {%- if loose -%}
        {%- set paths = [] -%}
        {%- for file_id in loose -%} {%- do paths.append(folder ~ "/file_id=" ~ file_id ~ "/rows.parquet") -%} {%- endfor -%}
        {%- do parts.append("from read_parquet(" ~ path_list(paths) ~ ", hive_partitioning = true)") -%}
    {%- endif -%}
    {%- if packs -%}
        {%- do parts.append("from read_parquet(" ~ path_list(packs) ~ ", hive_partitioning = false)") -%}
    {%- endif -%}
    ({{ parts | join(" union all by name ") }})
{%- endmacro %}

{% macro path_list(paths) -%}
    ['{{ paths | map("replace", "'", "''") | join("', '") }}']
{%- endmacro %}

{% macro spark__parquet_files(feed, file_ids, packs) -%}
    (
        select * from parquet.`{{ var("validated") }}/{{ feed }}`
        where file_id in ({{ file_ids | join(", ") }})
    )
{%- endmacro %}

{# One row per key of a feed: of two files with the same key, the later one's row. A new file's
   rows are weighed against those in force, so that a late file does not undo a later one. #}
{% macro rows_in_force(relation, key) %}
    {% set columns = model.columns.values() | map(attribute="name") | join(", ") %}
    {% set keys = key | join(", ") %}
with landed as (
    {{ landed(relation, new_only=is_incremental()) }}
)
{% if not is_incremental() and var("files").get(relation.identifier, []) | length < 2 %}
-- Within one file keys are unique, which the door checks.
select {{ columns }} from landed
{% else %}
,

contenders as (
    select {{ columns }} from landed
    {% if is_incremental() %}
    union all
    select {{ columns }} from {{ this }}
    where ({{ keys }}) in (select {{ keys }} from landed)
    {% endif %}
),

ranked as (
    select
        {{ columns }},
        row_number() over (partition by {{ keys }} order by file_id desc) as place
    from contenders
)

select {{ columns }} from ranked where place = 1
{% endif %}
{% endmacro %}

{# A number that equal texts share, to find candidates with before comparing the texts. #}
{% macro quick_hash(text) -%}
    {{ return(adapter.dispatch("quick_hash", "tessera")(text)) }}
{%- endmacro %}

{% macro duckdb__quick_hash(text) -%} hash({{ text }}) {%- endmacro %}
{% macro spark__quick_hash(text) -%} xxhash64({{ text }}) {%- endmacro %}
