{{ config(unique_key=["store_id"]) }}

{{ rows_in_force(source("shop", "stores"), key=["store_id"]) }}
