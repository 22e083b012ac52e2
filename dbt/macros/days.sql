{# Only changed days are summed up again, if nothing else than lines can have changed them: a new
   file of products may change any margin, a new target may ask for days that were not looked at,
   and so does a day before the last one. #}
{% macro is_partial_by_day() %}
    {{ return(
        is_partial() and var("known_as_of") <= var("as_of")
        and not new_files("products") and not new_files("targets")
    ) }}
{% endmacro %}

{# Whether a day is one of those that are summed up again. #}
{% macro is_changed_day(day) %}
    {%- set changed = ref("int_changed_days") -%}
    {%- if is_partial_by_day() -%}
    {{ day }} in (select sold_on from {{ changed }})
    {%- else -%} true {%- endif -%}
{% endmacro %}

{# The days that are summed up again go first, in the same transaction, and those long past. #}
{% macro forget_days() %}
    {% if is_partial_by_day() %}
    delete from {{ this }}
    where
        sold_on in (select sold_on from {{ ref("int_changed_days") }})
        or sold_on < (select first_on from {{ ref("int_recent_days") }})
    {% elif is_incremental() %}
    delete from {{ this }}
    {% endif %}
{% endmacro %}

{# The instant from which on lines are looked at: a day early, which suits every zone. A constant,
   unlike a subquery, lets whole files be passed over. #}
{% macro first_moment() -%}
    {%- set days -%}
    select cast({{ instant_days_after("cast(greatest(looked_at.first_on, changed.first_on) as timestamp)", -1) }} as {{ dbt.type_string() }})
    from (select first_on from {{ ref("int_recent_days") }}) as looked_at
    cross join (
        select
        {% if is_partial_by_day() -%}
            coalesce(min(sold_on), {{ business_date() }}) as first_on from {{ ref("int_changed_days") }}
        {%- else -%}
            cast('0001-01-01' as date) as first_on
        {%- endif %}
    ) as changed
    {%- endset -%}
    {%- if execute and flags.WHICH in ("build", "run") -%}
    cast('{{ run_query(days).rows[0][0] }}' as timestamp)
    {%- else -%}
    cast(({{ days }}) as timestamp)
    {%- endif -%}
{%- endmacro %}
