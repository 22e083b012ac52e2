{{ config(unique_key=["metric", "scope", "scope_id", "period_start"]) }}

{{ rows_in_force(source("shop", "targets"), key=["metric", "scope", "scope_id", "period_start"]) }}
