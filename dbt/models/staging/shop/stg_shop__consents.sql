{{ config(unique_key=["customer_id", "channel", "purpose", "recorded_at"]) }}

{{
    rows_in_force(
        source("shop", "consents"), key=["customer_id", "channel", "purpose", "recorded_at"]
    )
}}
