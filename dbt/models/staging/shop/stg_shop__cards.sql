{{ config(unique_key=["card_id"]) }}

{{ rows_in_force(source("shop", "cards"), key=["card_id"]) }}
