{{ config(unique_key=["customer_id"]) }}

{{ rows_in_force(source("shop", "customers"), key=["customer_id"]) }}
