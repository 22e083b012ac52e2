{{ config(unique_key=["programme", "idem_key"]) }}

{{ rows_in_force(source("engine", "lots"), key=["programme", "idem_key"]) }}
