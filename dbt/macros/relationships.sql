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

{# Of a tier: the one after it, and what that needs; null after the last. After none (`basic`) comes
   the first. #}
{% macro next_tier(tier) -%}
    {%- set steps = steps_between_tiers() -%}
    {%- if not steps -%} cast(null as varchar) {%- else -%}
    case {{ tier }} {% for low, high in steps %}when '{{ low }}' then '{{ high.tier }}' {% endfor %}end
    {%- endif -%}
{%- endmacro %}

{% macro least_of_next_tier(tier) -%}
    {%- set steps = steps_between_tiers() -%}
    {%- if not steps -%} cast(null as bigint) {%- else -%}
    case {{ tier }} {% for low, high in steps %}when '{{ low }}' then {{ high.least }} {% endfor %}end
    {%- endif -%}
{%- endmacro %}

{% macro steps_between_tiers() %}
    {% set names = ["basic"] + (var("tiers").levels | map(attribute="tier") | list) %}
    {{ return(zip(names, var("tiers").levels) | list) }}
{% endmacro %}

{# The kinds of transfers that count for a tier. #}
{% macro kinds_that_count() -%}
    '{{ var("tiers").kinds | join("', '") }}'
{%- endmacro %}

{# Who stands by now behind the number in a relation's customer_id: who a prospect became, or who a customer was
   merged into. Asks for `with_person` of the same relation among its joins. #}
{% macro person_of(relation) -%}
    coalesce(prospects.customer_id, merged.into_customer_id, {{ relation }}.customer_id)
{%- endmacro %}

{% macro with_person(relation) -%}
    left join {{ ref("int_prospects") }} as prospects
        on {{ relation }}.customer_id = {{ prospect_key("prospects.prospect_id") }}
    left join {{ ref("int_merged_customers") }} as merged
        on {{ relation }}.customer_id = merged.customer_id
{%- endmacro %}
