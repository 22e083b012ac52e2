{# Only touched customers are worked out again, if the last green build's as_of is known. #}
{% macro is_partial() %}
    {{ return(is_incremental() and var("known_as_of") != "") }}
{% endmacro %}

{# Whether it is: false makes DuckDB skip a query that asks for it. #}
{% macro is_known() -%}
    {{ "true" if var("known_as_of") else "false" }}
{%- endmacro %}

{# Whether as_of did not go back since the last green build: only then receipts are only added. #}
{% macro is_forward() -%}
    {{ "true" if var("known_as_of") and var("known_as_of") <= var("as_of") else "false" }}
{%- endmacro %}

{# The rows of a relation with a card, each with the customer whose card it is: a card that no
   row of the cards feed leads to is its own customer. Touched customers only, where that will do,
   but for those who are in `known` already. #}
{% macro with_customer(relation, known=none) %}
    {% set touched, owners = ref("int_touched_cards"), ref("int_card_owners") %}
    {% if is_partial() %}
    select
        rows_read.*,
        touched.customer_id
    from {{ relation }} as rows_read
    inner join (
        select * from {{ touched }}
        {% if known -%}
        where customer_id not in (select known.customer_id from {{ known }} as known)
        {%- endif %}
    ) as touched on rows_read.card_id = touched.card_id
    {% else %}
    select
        rows_read.*,
        coalesce(owners.customer_id, rows_read.card_id) as customer_id
    from {{ relation }} as rows_read
    left join {{ owners }} as owners on rows_read.card_id = owners.card_id
    where coalesce(owners.customer_id, rows_read.card_id) is not null
    {% endif %}
{% endmacro %}

{# Whether a customer is one of those that are worked out again; without a last build, all are. #}
{% macro is_touched(customer_id) %}
    {%- set touched = ref("int_touched_cards") -%}
    {%- if is_partial() -%}
    {{ customer_id }} in (select customer_id from {{ touched }})
    {%- else -%} true {%- endif -%}
{% endmacro %}

{# Of the customers that are worked out again, only what is known of those who are not gone on with
   goes first, and of those for whom an added receipt is `told_otherwise`: they are told all again. #}
{% macro forget_unless_gone_on_with(told_otherwise) %}
    {% if is_partial() %}
    delete from {{ this }}
    where customer_id in (
        select touched.customer_id from {{ ref("int_touched_cards") }} as touched
        where not touched.is_gone_on_with
        union
        select added.customer_id
        from {{ ref("int_added_receipts") }} as added
        inner join {{ this }} as known on added.customer_id = known.customer_id
        where {{ told_otherwise }}
    )
    {% elif is_incremental() %}
    delete from {{ this }}
    {% endif %}
{% endmacro %}

{# What was known of the customers that are worked out again goes first, in the same transaction:
   one who has nothing left must not stay. #}
{% macro forget_touched() %}
    {% if is_partial() %}
    delete from {{ this }}
    where customer_id in (select customer_id from {{ ref("int_touched_cards") }})
    {% elif is_incremental() %}
    delete from {{ this }}
    {% endif %}
{% endmacro %}

{# Of the rows of a group that have a value, that of the lowest place, or of the highest; where one place
   is given, its own value before any. #}
{% macro of_the_first(column, at_place=none, last=false) -%}
    {%- if at_place -%}
    coalesce(
        max(case when place = {{ at_place }} then {{ column }} end),
        min_by({{ column }}, place) filter (where {{ column }} is not null)
    )
    {%- else -%}
    {{ "max_by" if last else "min_by" }}({{ column }}, place) filter (where {{ column }} is not null)
    {%- endif -%}
{%- endmacro %}

{# Of a row of `figures` beside `bounds`: the fifth of all buyers that it is in by one of its columns,
   5 the highest; who bought nothing is in none. #}
{% macro quintile_of(column, bounds) -%}
    cast(
        case
            when coalesce(figures.receipts, 0) = 0 then null
            {% for quintile in range(5, 1, -1) -%}
            when figures.{{ column }} >= bounds.{{ bounds }}_{{ quintile }} then {{ quintile }}
            {% endfor -%}
            else 1
        end as bigint
    )
{%- endmacro %}
