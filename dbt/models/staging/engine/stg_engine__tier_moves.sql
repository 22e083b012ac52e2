{{ config(unique_key=["programme", "customer_id", "business_date", "position"]) }}

{{ rows_in_force(source("engine", "tier_moves"), key=["programme", "customer_id", "business_date", "position"]) }}
