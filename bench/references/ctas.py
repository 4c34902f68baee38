"""A file into a DuckDB table, by DuckDB alone: `ctas.py WAREHOUSE FILE`."""

import sys

import duckdb

READERS = {"csv": "read_csv", "jsonl": "read_json", "parquet": "read_parquet"}

warehouse, file = sys.argv[1:]
with duckdb.connect(warehouse) as database:
    database.execute(f"CREATE TABLE loaded AS SELECT * FROM {READERS[file.rpartition('.')[2]]}('{file}')")
