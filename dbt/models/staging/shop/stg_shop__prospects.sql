{{ config(unique_key=["prospect_id"]) }}

{{ rows_in_force(source("shop", "prospects"), key=["prospect_id"]) }}
