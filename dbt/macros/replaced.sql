{# A table that takes the place of its last one in one statement. dbt's own table is made beside the old one
   and renamed, so that readers never miss it, for which it asks the catalog six times: a sixth of a small
   shop's build. Nobody reads the warehouse while it is built, and what a red build leaves there is built anew. #}
{% materialization replaced, adapter="duckdb" %}
    {%- set before = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type="table") -%}
    {{ run_hooks(pre_hooks) }}
    {% if before is not none and not before.is_table -%} {%- do adapter.drop_relation(before) -%} {%- endif %}
    {% call statement("main", auto_begin=False) -%}
        create or replace table {{ target }} as ({{ sql }})
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}
