"""A pipeline's schemas, read once: dlt reads and builds one anew whenever it is asked for a schema that it has saved.

That is ten times in a sync, and a quarter of what one costs that finds nothing new.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlt import Pipeline
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from dlt.common.storages.live_schema_storage import LiveSchemaStorage


def read_once(pipeline: Pipeline) -> None:
    """Lets a pipeline give the schema that it has as long as its file says the same. It is changed."""
    storage: Any = pipeline._schema_storage
    # What is imported dlt compares each time.
    if storage.__class__ is LiveSchemaStorage and not storage.config.import_schema_path:
        vars(storage)["read"] = {}
        storage.__class__ = _ReadOnce


class _ReadOnce(LiveSchemaStorage):
    """Of each schema it is known what it was read from, until dlt puts another in its place."""

    read: dict[str, tuple[Any, ...]]

    def __getitem__(self, name: str) -> Schema:
        live = self.live_schemas.get(name)
        if live is not None and not self.is_live_schema_committed(name):
            return live
        found = self._found(name)
        if live is not None and found is not None and self.read.get(name) == found:
            return live
        schema = super().__getitem__(name)
        if found is not None:
            self.read[name] = found
        return schema

    def set_live_schema(self, schema: Schema) -> Schema:
        self.read.pop(schema.name, None)
        return super().set_live_schema(schema)

    def _found(self, name: str) -> tuple[Any, ...] | None:
        """What a schema would be read from: the state of its file, and what dlt takes from the destination."""
        try:
            # dlt writes it anew and renames it, so that each has a number of its own.
            file = Path(self.storage.make_full_path(self._file_name_in_store(name, "json"))).stat()
        except OSError:
            return None
        caps = Container().get(DestinationCapabilitiesContext)
        limits = (
            None if caps is None else getattr(caps, limit)
            for limit in (
                "naming_convention",
                "max_identifier_length",
                "max_column_identifier_length",
                "max_table_nesting",
            )
        )
        return file.st_ino, file.st_mtime_ns, file.st_size, *limits
