"""dlt's own plugins, which packages bring by entry points."""

from __future__ import annotations

from dlt.common.configuration import plugins


def load() -> None:
    """Finds and imports them now, as dlt does when it first makes a pipeline. Nothing of a project counts for it."""
    plugins.manager()
