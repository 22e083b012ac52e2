{% set key = ["programme", "customer_id", "business_date", "position"] %}
{{ config(unique_key=key) }}

{{ rows_in_force(source("engine", "tier_moves"), key=key) }}
