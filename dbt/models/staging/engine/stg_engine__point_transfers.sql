{{ config(unique_key=["programme", "idem_key"]) }}

{{ rows_in_force(source("engine", "point_transfers"), key=["programme", "idem_key"]) }}
