"""A script as dlt's users write it: `dlt_script.py WAREHOUSE RESOURCE ROWS [FORMAT]`.

Without a format dlt takes its own default.
"""

import sys
from typing import Any

import dlt

from bench.custom_sources import dicts

warehouse, resource, rows, *said = sys.argv[1:]
file_format: Any = said[0] if said else None
pipeline = dlt.pipeline("script", destination=dlt.destinations.duckdb(warehouse), dataset_name="raw")
pipeline.run(getattr(dicts, resource)(int(rows)), loader_file_format=file_format)
