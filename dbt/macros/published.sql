{# A table that is one Parquet file, read through a view. What is published is written once: not into
   the warehouse, and from there into a file. The contract holds as it does for a table: columns,
   types, and what may not be null. The old file stays what it is for whoever has it under another
   name: the new one takes its place. #}
{% materialization published, adapter="duckdb" %}
    {%- set before = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type="view") -%}
    {%- set path = "'" ~ (var("published") ~ "/" ~ this.identifier ~ ".parquet") | replace("'", "''") ~ "'" -%}
    {{ run_hooks(pre_hooks) }}
    {{ get_assert_columns_equivalent(sql) }}
    {% if before is not none and not before.is_view -%} {%- do adapter.drop_relation(before) -%} {%- endif %}
    {% call statement("main", auto_begin=False) -%}
        copy ({{ get_select_subquery(sql) }}) to {{ path }} (format parquet, use_tmp_file true)
    {%- endcall %}
    {%- do refuse_nulls(path) -%}
    {# With a contract its columns are the last build's, unless this one is from scratch. #}
    {% if before is none or not before.is_view or should_full_refresh() or not config.get("contract").enforced -%}
        {% call statement("view", auto_begin=False) -%}
            create or replace view {{ target }} as select * from read_parquet({{ path }})
        {%- endcall %}
    {%- endif %}
    {{ run_hooks(post_hooks) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{# What the contract says is never null; the file's own statistics tell. #}
{% macro refuse_nulls(path) %}
    {%- set looks = [] -%}
    {%- for column in model.columns.values() if "not_null" in column.constraints | map(attribute="type") | list -%}
        {%- do looks.append(
            "select '" ~ column.name ~ "' where exists (from read_parquet(" ~ path ~ ") where " ~ column.name ~ " is null)"
        ) -%}
    {%- endfor -%}
    {%- set nulls = run_query(looks | join(" union all ")) if looks else none -%}
    {%- if nulls and nulls.rows -%}
        {%- do exceptions.raise_compiler_error("NOT NULL constraint failed: " ~ this.identifier ~ "." ~ nulls.rows[0][0]) -%}
    {%- endif -%}
{% endmacro %}
