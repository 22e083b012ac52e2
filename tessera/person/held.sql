-- name: landed
-- DuckDB. Rows of a feed as the retailer's files said them.
select * from read_parquet({files}, hive_partitioning = true, hive_types = {{'file_id': bigint}})
where {theirs}
order by file_id, _row_number

-- name: quarantined
-- DuckDB.
select file_id, row_number, reasons, "row" from read_parquet({files}, hive_partitioning = false)
where {theirs}
order by file_id, row_number

-- name: published
-- DuckDB. In the order of the files, which readers side by side do not keep.
select * exclude (filename, file_row_number)
from read_parquet({files}, hive_partitioning = false, filename = true, file_row_number = true)
where {theirs}
order by filename, file_row_number
