{{ config(unique_key=["customer_id"]) }}

{{ rows_in_force(source("engine", "person_merges"), key=["customer_id"]) }}
