{{ config(tags=["names_files"]) }}

{{ landed(source("shop", "transactions")) }}
