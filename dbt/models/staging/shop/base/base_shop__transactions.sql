{{ landed(source("shop", "transactions")) }}
