{{ config(unique_key=["programme", "customer_id", "bucket"]) }}

{{ rows_in_force(source("engine", "point_balances"), key=["programme", "customer_id", "bucket"]) }}
