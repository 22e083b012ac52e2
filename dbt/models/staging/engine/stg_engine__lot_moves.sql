{{ config(unique_key=["programme", "idem_key", "lot_key"]) }}

{{ rows_in_force(source("engine", "lot_moves"), key=["programme", "idem_key", "lot_key"]) }}
