{{ config(unique_key=["preference_id"]) }}

{{ rows_in_force(source("engine", "preferences"), key=["preference_id"]) }}
