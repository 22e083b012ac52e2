{{ config(unique_key=["interaction_id"]) }}

{{ rows_in_force(source("shop", "interactions"), key=["interaction_id"]) }}
