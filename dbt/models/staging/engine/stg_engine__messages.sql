{{ config(unique_key=["send_key"]) }}

{{ rows_in_force(source("engine", "messages"), key=["send_key"]) }}
