"""Tables into DuckDB one after the other, in one process: `one_after_the_other.py WAREHOUSE URL TABLE…`.

They are read as dango reads them, so that what is compared is only that they come side by side.
"""

import sys

import dlt
from dlt.sources.credentials import ConnectionStringCredentials

from dango.connectors.sql import tables

warehouse, url, *names = sys.argv[1:]
for name in names:
    pipeline = dlt.pipeline(name, destination=dlt.destinations.duckdb(warehouse), dataset_name=f"raw_{name}")
    source = tables(ConnectionStringCredentials(url), "public", [name])
    pipeline.run(source, loader_file_format="parquet", write_disposition="replace")
