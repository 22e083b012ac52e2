"""Land: a retailer's files, read through a source mapping, become canonical Parquet."""
