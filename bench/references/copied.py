"""A PostgreSQL table into DuckDB: `psql COPY` piped into `read_csv`. `copied.py WAREHOUSE TABLE`; PG… says where."""

import subprocess
import sys

import duckdb

warehouse, table = sys.argv[1:]
with subprocess.Popen(
    ["psql", "-q", "-c", f"COPY {table} TO STDOUT (FORMAT csv, HEADER)"], stdout=subprocess.PIPE
) as psql:
    assert psql.stdout is not None
    with duckdb.connect(warehouse) as database:
        database.execute(f"CREATE TABLE loaded AS SELECT * FROM read_csv('/dev/fd/{psql.stdout.fileno()}')")
if psql.returncode:
    sys.exit("psql failed")
