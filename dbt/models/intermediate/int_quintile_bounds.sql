-- A row per currency: from which figure on a buyer is in the second to the fifth of five classes of
-- as many buyers each; of money, of as many who pay in it. Buyers with equal figures share a class,
-- that of the middle of their places: where most came once, they are not among the frequent.
{% set figures = {"recency": "last_purchase_on", "frequency": "receipts", "monetary": "revenue"} %}
with buyers as (
    select
        currency,
        last_purchase_on,
        receipts,
        revenue,
        rank() over recency + count(*) over recency as recency_places,
        rank() over frequency + count(*) over frequency as frequency_places,
        rank() over monetary + count(*) over monetary as monetary_places,
        count(*) over () as buyers,
        count(*) over (partition by currency) as payers
    from {{ ref("int_customer_purchases") }}
    where receipts > 0
    window
        recency as (order by last_purchase_on),
        frequency as (order by receipts),
        monetary as (partition by currency order by revenue)
)

select
    currency,
    {% for figure, column in figures.items() %}
    {% for k in range(2, 6) %}
    {% if figure == "monetary" %}
    min(case when 5 * monetary_places > {{ 2 * k - 2 }} * payers then {{ column }} end)
        as monetary_{{ k }},
    {% else %}
    min(
        min(case when 5 * {{ figure }}_places > {{ 2 * k - 2 }} * buyers then {{ column }} end)
    ) over ()
        as {{ figure }}_{{ k }},
    {% endif %}
    {% endfor %}
    {% endfor %}
    any_value(buyers) as buyers
from buyers
group by currency
