"""What has changed in a PostgreSQL table, merged into a table of DuckDB.

`merge_duckdb.py WAREHOUSE INTO FROM SINCE COLUMN…`; PG… says where. The first column is the key, the second the time.
"""

import subprocess
import sys

import duckdb

warehouse, into, table, since, *columns = sys.argv[1:]
key, moved = columns[:2]
names = ", ".join(columns)
query = f"COPY (SELECT {names} FROM {table} WHERE {moved} > '{since}') TO STDOUT (FORMAT csv, HEADER)"
with subprocess.Popen(["psql", "-q", "-c", query], stdout=subprocess.PIPE) as psql:
    assert psql.stdout is not None
    with duckdb.connect(warehouse) as database:
        database.execute(f"CREATE TEMP TABLE changed AS SELECT * FROM read_csv('/dev/fd/{psql.stdout.fileno()}')")
        database.execute(f"""
            MERGE INTO {into} AS t USING changed AS c ON t.{key} = c.{key}
            WHEN MATCHED THEN UPDATE SET {", ".join(f"{name} = c.{name}" for name in columns[1:])}
            WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({", ".join(f"c.{name}" for name in columns)})""")
if psql.returncode:
    sys.exit("psql failed")
