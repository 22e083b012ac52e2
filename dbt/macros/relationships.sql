{# After how many days of silence a customer has lapsed: 60, or sooner if that is more than three
   times the own median gap, but 45 at least. #}
{% macro lapsed_after_days(median_days) -%}
    case
        when {{ median_days }} is null then 60
        else cast(least(60, greatest(45, floor(3 * {{ median_days }}) + 1)) as integer)
    end
{%- endmacro %}

{# From the third visit on there are two gaps, and so a rhythm. #}
{% macro level_of_buyer(visits) -%}
    case when {{ visits }} >= 3 then 'active' else 'new' end
{%- endmacro %}

{# The key of somebody who is only in the prospects feed; a customer may have the same number. #}
{% macro prospect_key(prospect_id) -%}
    concat('prospect:', {{ prospect_id }})
{%- endmacro %}

{# The tier that so much revenue brings, in minor units; null for none. #}
{% macro tier_of(revenue) -%}
    case
        {% for tier, least_revenue in var("tiers").items() -%}
        when {{ revenue }} >= {{ least_revenue }} then '{{ tier }}'
        {% endfor -%}
        else 'basic'
    end
{%- endmacro %}
