{{ config(unique_key=["event_key"]) }}

{{ rows_in_force(source("engine", "message_events"), key=["event_key"]) }}
