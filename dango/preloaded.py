"""What a sync imports sooner or later, imported: for the process from which syncs are forked.

What the worker does not import at its top, dlt does as soon as a pipeline is made.
"""

from contextlib import suppress
from importlib import import_module

_BY_DLT = (
    "dlt._workspace._plugins",
    "dlt.common.libs.sql_alchemy_compat",
    "dlt.destinations.impl.duckdb.duck",
    "dlt.sources.helpers.requests",
)

import_module("dango.worker")
for _name in _BY_DLT:
    # Another version of dlt may have it elsewhere, and imports it in its own time.
    with suppress(ImportError):
        import_module(_name)
