{{ config(unique_key=["acquisition_source", "period_start"]) }}

{{ rows_in_force(source("shop", "source_costs"), key=["acquisition_source", "period_start"]) }}
