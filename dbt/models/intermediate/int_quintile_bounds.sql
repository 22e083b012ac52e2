-- One row: from which figure on a buyer is in the second to the fifth of five classes of as many
-- buyers each. Buyers with equal figures share a class, the higher of those they would fill.
{% set figures = {"recency": "last_purchase_on", "frequency": "receipts", "monetary": "revenue"} %}
with buyers as (
    select
        {% for figure, column in figures.items() %}
        {{ column }},
        row_number() over (order by {{ column }}) as {{ figure }}_place,
        {% endfor %}
        count(*) over () as buyers
    from {{ ref("int_customer_purchases") }}
    where receipts > 0
)

select
    {% for figure, column in figures.items() %}
    {% for quintile in range(2, 6) %}
    min(case when 5 * {{ figure }}_place > {{ quintile - 1 }} * buyers then {{ column }} end)
        as {{ figure }}_{{ quintile }},
    {% endfor %}
    {% endfor %}
    count(*) as buyers
from buyers
