{{ config(unique_key=["product_id"]) }}

{{ rows_in_force(source("shop", "products"), key=["product_id"]) }}
