"""What has changed in one PostgreSQL database, merged into a table of another.

`merge_postgres.py DATABASE INTO FROM SINCE COLUMN…`; PG… says where. The first column is the key, the second the time.
"""

import subprocess
import sys

database, into, table, since, *columns = sys.argv[1:]
key, moved = columns[:2]
names = ", ".join(columns)
read = f"COPY (SELECT {names} FROM {table} WHERE {moved} > '{since}') TO STDOUT"
merge = f"""
    MERGE INTO {into} AS t USING changed AS c ON t.{key} = c.{key}
    WHEN MATCHED THEN UPDATE SET {", ".join(f"{name} = c.{name}" for name in columns[1:])}
    WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({", ".join(f"c.{name}" for name in columns)})"""
commands = [
    f"CREATE TEMP TABLE changed AS SELECT {names} FROM {into} WITH NO DATA",
    "\\copy changed FROM PSTDIN",
    "ANALYZE changed",
    merge,
]
words = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]
with subprocess.Popen(["psql", "-q", "-c", read], stdout=subprocess.PIPE) as reading:
    written = subprocess.run(
        [*words, *(word for text in commands for word in ("-c", text))], stdin=reading.stdout, check=False
    )
if reading.returncode or written.returncode:
    sys.exit("psql failed")
