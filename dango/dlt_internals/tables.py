"""What is known, while rows are extracted, of the tables that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.pipeline import PipelineContext
from dlt.common.schema import Schema
from dlt.common.schema.utils import has_table_seen_data
from dlt.common.storages.load_package import LoadPackageStateInjectableContext

ROW_ID, LOAD_ID = "_dlt_id", "_dlt_load_id"
TRANSACTIONAL = ("duckdb", "postgres")
"""The types of destination that dango loads itself: both keep rows and definitions of tables in one transaction."""


def takes_parquet() -> bool:
    """Whether what is extracted here is for a destination that is loaded from Parquet, whatever the rows are."""
    caps = capabilities()
    if Container().get(LoadPackageStateInjectableContext) is None:
        # Who looks at a source's rows extracts nothing.
        return False
    return caps is not None and caps.sqlglot_dialect in ("duckdb", "postgres")


def transactional() -> bool:
    """Whether rows are extracted for a destination that dango loads itself.

    They may come without ids, and are given theirs when nested tables come to need them; a column of decimals gets the
    digits that come.
    """
    # Not `dlt.current.pipeline()`: before it gives the one there is it looks up the configuration of another.
    destination: Any = Container()[PipelineContext].pipeline().destination
    return str(destination.destination_type).rpartition(".")[2] in TRANSACTIONAL


def capabilities() -> DestinationCapabilitiesContext | None:
    """Of the destination for which rows are extracted; None outside of a pipeline."""
    return Container().get(DestinationCapabilitiesContext)


def columns_of(schema: Schema, table: str) -> Mapping[str, Any]:
    """What is known of a table's columns from earlier loads; empty where nothing was loaded."""
    found = schema.tables.get(schema.naming.normalize_table_identifier(table))
    return found["columns"] if found and has_table_seen_data(found) else {}


def nullable(known: Mapping[str, Any], column: str) -> bool:
    """Whether a column may be empty, of those that `columns_of` knows."""
    return column not in known or bool(known[column].get("nullable", True))


def let_ids_be_missing(schema: Schema, table: str) -> None:
    """Lets the ids of dicts be missing in a table of which rows without them exist.

    dlt would add a column that may not be null to rows that have none of it, which every destination refuses.

    Args:
        schema: with the table.
        table: its name there.
    """
    columns = schema.tables[table]["columns"]
    load_id, row_id = map(schema.naming.normalize_identifier, (LOAD_ID, ROW_ID))
    # By its row key a merge finds the rows that it takes away, and those nested in them.
    ours: Any = {
        name: {"name": name, "data_type": "text", "nullable": True, **more}
        for name, more in ((row_id, {"row_key": True}), (load_id, {}))
        if name not in columns
    }
    if ours:
        schema.update_table({"name": table, "columns": ours}, normalize_identifiers=False)


def take_over(schema: Schema, other: Schema | None) -> None:
    """Adds tables and columns that another schema of the same name knows besides. The rest stays as it is."""
    known = dict(other.tables) if other is not None else {}

    def depth(name: str) -> int:
        parent = known[name].get("parent")
        return 1 + depth(parent) if parent in known else 0

    for name in sorted(known, key=depth):
        table = known[name]
        if name not in schema.tables:
            schema.update_table(table, normalize_identifiers=False)
            continue
        columns = schema.tables[name]["columns"]
        missing: Any = {column: said for column, said in table["columns"].items() if column not in columns}
        if missing:
            schema.update_table({"name": name, "columns": missing}, normalize_identifiers=False)
    # Else dlt takes it for one that somebody has changed behind its back.
    schema._bump_version()
