"""What a sync imports sooner or later, imported: for the process from which syncs are forked.

What the worker does not import at its top, dlt does as soon as a pipeline is made, or dango as soon as a lock is taken.
"""

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

from dango.workers import later

_FOR_ROWS = (
    "pyarrow.compute", "pyarrow.parquet", "dango.columnar.normalizer", "dango.load.merging", "dango.load.loading",
)  # fmt: skip
_LATER = (
    "dlt._workspace._plugins",
    "dlt._workspace.cli._plugins",
    "dlt.destinations.impl.duckdb.duck",
    "dlt.sources.helpers.requests",
    "filelock",
    "pendulum.locales.en.locale",
)


def more(sources: Iterable[str]) -> None:
    """What only a sync with new rows imports, and modules of sources: where there are several, some have new rows."""
    _import((*_FOR_ROWS, *sources))


def _import(names: Iterable[str]) -> None:
    for name in names:
        # Another version of dlt may have it elsewhere, and imports it in its own time; whoever needs what is not
        # installed says so.
        with suppress(ImportError):
            module = import_module(name)
            later.fill(module)
            # A module from which sources come may say what it imports itself once rows are read.
            _import(getattr(module, "LATER", ()))


# Before anything of dlt is imported.
later.install()
import_module("dango.workers.worker")
_import(_LATER)
# Each process would ask all that is installed for plugins of dlt's.
import_module("dango.dlt_internals.plugins").load()
