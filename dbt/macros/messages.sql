{# Whether a message in this state left, or may have. #}
{% macro has_left(state) -%}
    {{ state }} in ('accepted', 'ambiguous', 'reconciled')
{%- endmacro %}
