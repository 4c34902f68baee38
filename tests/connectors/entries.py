"""Sources as the shipped entries make them of answers, and their rows in a warehouse."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import dlt
import duckdb
from ruamel.yaml import YAML

from dango.registry.entry import Entry
from dango.registry.template import filled
from dango.resources import shipped
from dango.sources.calls import placeholder, written_as


def made(entry_id: str, resources: tuple[str, ...] = (), **answers: Any) -> Any:
    """The source that the shipped entry gives for these answers; the rest is as the entry says."""
    entry = Entry.model_validate(YAML(typ="safe").load(Path(shipped("registry"), f"{entry_id}.yml")))
    known: dict[str, Any] = {}
    for field in entry.fields:
        if field.applies(known):
            known[field.name] = field.checked(answers.get(field.name, field.default))
    unasked = answers.keys() - known.keys()
    assert not unasked, f"the entry does not ask for {unasked}"
    assert not entry.missing(known)
    values = {placeholder(field): written_as(field, known.get(field.name)) for field in entry.fields}
    module, _, function = entry.build.function.partition(":")
    arguments = filled(entry.build.args, {**values, "source": "shop", "resources": list(resources)})
    given = getattr(import_module(module), function)(**arguments)
    return dlt.source(lambda: given, name="shop")() if isinstance(given, list) else given


class Warehouse:
    """A DuckDB file, and the state of the loads into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "warehouse.duckdb"

    def load(self, source: Any) -> Callable[[str], list[Any]]:
        """Loads a source, and gives a function that asks for what is there then."""
        destination = dlt.destinations.duckdb(str(self._file))
        pipeline = dlt.pipeline(
            "shop", destination=destination, dataset_name="shop", pipelines_dir=str(self._folder)
        )  # fmt: skip
        pipeline.run(source)
        # Left active, its state would be that of sources read without a pipeline.
        pipeline.deactivate()
        return self.ask

    def ask(self, query: str) -> list[Any]:
        """What a query finds."""
        with duckdb.connect(str(self._file)) as database:
            database.execute("SET schema = 'shop'; SET TimeZone = 'UTC'")
            return database.sql(query).fetchall()
