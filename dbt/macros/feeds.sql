{# Which of a feed's files arrived since the last green build. Without the list of those it read,
   which `tessera run` gives, every file is new, which is slower but as right. #}
{% macro new_files(feed) %}
    {{ return(var("files").get(feed, []) | reject("in", var("known").get(feed, [])) | list) }}
{% endmacro %}

{# Whether a row's file is one of those. #}
{% macro is_in_new_file(feed) -%}
    {{ is_in_file(new_files(feed)) }}
{%- endmacro %}

{# Whether it is one that this build was asked to read: more may have come since. #}
{% macro is_in_known_file(feed) -%}
    {{ is_in_file(var("files").get(feed, [])) }}
{%- endmacro %}

{# Whether it is one that the last green build read. #}
{% macro is_in_file_read_before(feed) -%}
    {{ is_in_file(var("known").get(feed, [])) }}
{%- endmacro %}

{% macro is_in_file(file_ids) -%}
    {%- if file_ids -%} file_id in ({{ file_ids | join(", ") }}) {%- else -%} false {%- endif -%}
{%- endmacro %}

{# The rows of a feed's validated files as one typed relation, empty when there is no file yet.
   Columns and types come from the model's own description. All files are read by a pattern, so
   that a view of them sees the next file too. #}
{% macro landed(relation, new_only=false) %}
    {% set feed = relation.identifier %}
    {% set files = new_files(feed) if new_only else ["*"] if var("files").get(feed) else [] %}
    {% set columns = model.columns.values() | rejectattr("name", "in", ["file_id", "row_number"]) %}
    select
        {% for column in columns -%}
        cast({{ column.name if files else "null" }} as {{ column.data_type }}) as {{ column.name }},
        {% endfor -%}
        cast({{ "_row_number" if files else "null" }} as bigint) as row_number,
        cast({{ "file_id" if files else "null" }} as bigint) as file_id
    {% if files -%} from {{ parquet_files(feed, files) }} {%- else -%} where false {%- endif %}
{% endmacro %}

{% macro parquet_files(feed, file_ids) -%}
    {{ return(adapter.dispatch("parquet_files", "tessera")(feed, file_ids)) }}
{%- endmacro %}

{% macro duckdb__parquet_files(feed, file_ids) -%}
    {%- set folder = var("validated") | replace("'", "''") ~ "/" ~ feed -%}
    read_parquet(
        [
            {%- for file_id in file_ids %}
            '{{ folder }}/file_id={{ file_id }}/rows.parquet' {{- "," if not loop.last }}
            {%- endfor %}
        ],
        hive_partitioning = true
    )
{%- endmacro %}

{% macro spark__parquet_files(feed, file_ids) -%}
    (
        select * from parquet.`{{ var("validated") }}/{{ feed }}`
        {% if file_ids != ["*"] %} where file_id in ({{ file_ids | join(", ") }}) {% endif %}
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
