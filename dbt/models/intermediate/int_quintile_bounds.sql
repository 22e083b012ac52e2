-- A row per currency: from which figure on a buyer is in the second to the fifth of five classes of
-- as many buyers each; of money, of as many who pay in it. Buyers with equal figures share a class,
-- the higher of those they would fill.
{% set figures = {"recency": "last_purchase_on", "frequency": "receipts", "monetary": "revenue"} %}
with buyers as (
    select
        currency,
        last_purchase_on,
        receipts,
        revenue,
        row_number() over (order by last_purchase_on) as recency_place,
        row_number() over (order by receipts) as frequency_place,
        row_number() over (partition by currency order by revenue) as monetary_place,
        count(*) over () as buyers,
        count(*) over (partition by currency) as payers
    from {{ ref("int_customer_purchases") }}
    where receipts > 0
)

select
    currency,
    {% for figure, column in figures.items() %}
    {% for quintile in range(2, 6) %}
    {% if figure == "monetary" %}
    min(case when 5 * monetary_place > {{ quintile - 1 }} * payers then {{ column }} end)
        as monetary_{{ quintile }},
    {% else %}
    min(
        min(case when 5 * {{ figure }}_place > {{ quintile - 1 }} * buyers then {{ column }} end)
    ) over ()
        as {{ figure }}_{{ quintile }},
    {% endif %}
    {% endfor %}
    {% endfor %}
    any_value(buyers) as buyers
from buyers
group by currency
