{# What points are worth, times the share of them that is expected to be spent, in whole minor units,
   the half away from nothing, whoever owes it; null where points pay no money. #}
{% macro worth_of(points) -%}
    {%- set worth = var("worth") -%}
    {%- if not worth.pays -%} cast(null as bigint) {%- else -%}
    {%- set value = in_full("abs(" ~ points ~ ")") ~ " * " ~ worth.pays * worth.expected[0] -%}
    {%- set unit = worth.points * worth.expected[1] -%}
    cast(case when {{ points }} < 0 then -1 else 1 end * {{ quotient("2 * " ~ value ~ " + " ~ unit, 2 * unit) }} as bigint)
    {%- endif -%}
{%- endmacro %}

{# The points' part of a sale, shared by stand-alone value. #}
{% macro deferred_of(sale, points) -%}
    {%- set worth = var("worth") -%}
    {%- if not worth.pays -%} cast(null as bigint) {%- else -%}
    {%- set value = in_full(points) ~ " * " ~ worth.pays * worth.expected[0] -%}
    {%- set both = "(" ~ in_full(sale) ~ " * " ~ worth.points * worth.expected[1] ~ " + " ~ value ~ ")" -%}
    case
        when {{ sale }} > 0 and {{ points }} > 0
            then cast({{ quotient("2 * " ~ value ~ " * " ~ sale ~ " + " ~ both, "2 * " ~ both) }} as bigint)
        else 0
    end
    {%- endif -%}
{%- endmacro %}

{# Of so many points those of a part of the whole, rounded towards none. #}
{% macro share_of(points, part, whole) -%}
    {{ quotient(in_full(points) ~ " * " ~ part, whole) }}
{%- endmacro %}

{# A whole number so wide that products of three do not overflow, and exact whole quotients of it. #}
{% macro in_full(number) -%}
    {{ return(adapter.dispatch("in_full", "tessera")(number)) }}
{%- endmacro %}

{% macro duckdb__in_full(number) -%} cast({{ number }} as hugeint) {%- endmacro %}
{% macro spark__in_full(number) -%} cast({{ number }} as decimal(38, 0)) {%- endmacro %}

{% macro quotient(top, bottom) -%}
    {{ return(adapter.dispatch("quotient", "tessera")(top, bottom)) }}
{%- endmacro %}

{% macro duckdb__quotient(top, bottom) -%} ({{ top }}) // ({{ bottom }}) {%- endmacro %}
{% macro spark__quotient(top, bottom) -%} ({{ top }}) div ({{ bottom }}) {%- endmacro %}
