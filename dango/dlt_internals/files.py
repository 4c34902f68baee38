"""Files for the package that dlt is extracting, taken into it as they are.

dlt takes a Parquet file as it is where its columns have the names, the order and the nullability of the table's; any
other it writes anew, which is as right, and slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.metrics import DataWriterMetrics
from dlt.common.normalizers.utils import generate_dlt_id
from dlt.common.schema.detections import is_iso_timestamp
from dlt.common.schema.utils import normalize_table_identifiers
from dlt.common.storages.load_package import LoadPackageStateInjectableContext
from dlt.extract.extractors import ImportFileMeta
from dlt.extract.items import DataItemWithMeta
from dlt.sources import DltResource

from dango.dlt_internals import tables as dlt_tables
from dango.dlt_internals.tables import LOAD_ID, ROW_ID

if TYPE_CHECKING:
    import pyarrow as pa

# As dlt has them where it makes the rows itself.
_OWN: Any = {
    LOAD_ID: {"name": LOAD_ID, "data_type": "text", "nullable": False},
    ROW_ID: {"name": ROW_ID, "data_type": "text", "nullable": False, "unique": True, "row_key": True},
}


def extracting() -> bool:
    """Whether there is a package: a source may also be only looked at."""
    return LoadPackageStateInjectableContext in Container()


def room() -> Path:
    """A folder on the file system of the package: what is written there is linked into it, not copied."""
    return Path(_package().storage.storage.storage_path)


def load_id() -> str:
    """The load id of the package."""
    return str(_package().load_id)


def row_ids() -> str:
    """A text with which no other row's id begins."""
    return str(generate_dlt_id())


def _package() -> LoadPackageStateInjectableContext:
    return Container()[LoadPackageStateInjectableContext]


def table_of(resource: DltResource) -> str:
    """The name of the resource's table in the destination."""
    return str(dlt.current.source_schema().naming.normalize_tables_path(str(resource.table_name)))


def normalized(column: str) -> str:
    """The name that a column of this name gets in a table."""
    return str(dlt.current.source_schema().naming.normalize_path(column))


def known(table: str) -> Mapping[str, Mapping[str, Any]]:
    """The columns of a table so far, in their order; those without a `data_type` have held no value yet."""
    tables = dlt.current.source_schema().tables
    return dict(tables[table]["columns"]) if table in tables else {}


def hinted(resource: DltResource) -> Mapping[str, Mapping[str, Any]]:
    """The columns of which something is said, under the names that they have in the table."""
    schema = normalize_table_identifiers(resource.compute_table_schema(), dlt.current.source_schema().naming)
    return dict(schema["columns"])


def let_ids_be_missing(table: str) -> None:
    """Lets the row ids of dicts be missing in a table that has held rows without."""
    if LOAD_ID in known(table):
        dlt_tables.let_ids_be_missing(dlt.current.source_schema(), table)


def may_evolve(resource: DltResource, table: str) -> bool:
    """Whether the contract that holds for the resource's table lets anything new in."""
    contract = dlt.current.source_schema().resolve_contract_settings_for_table(table, resource.compute_table_schema())
    return {*contract.values()} == {"evolve"}


def taken_for_time(text: str) -> bool:
    """Whether dlt makes the column a timestamp in which this text comes first."""
    return is_iso_timestamp(str, text) is not None


def imported(path: Path, schema: pa.Schema, rows: int) -> DataItemWithMeta:
    """An item that takes a Parquet file into the resource's table.

    Args:
        path: the file; it may be deleted when the next item is asked for.
        schema: its columns, `_dlt_load_id` among them, and `_dlt_id` where the table has it.
        rows: how many it has.
    """
    hints = dlt.mark.make_hints(columns={name: own for name, own in _OWN.items() if name in schema.names})
    return _taken_in(path, rows, "parquet", hints, schema.empty_table())


def documents(path: Path, rows: int, columns: Mapping[str, Any]) -> DataItemWithMeta:
    """An item that takes in documents as dlt's extraction writes them, a list of them in each line, or frames.

    Args:
        path: the file; it may be deleted when the next item is asked for.
        rows: how many documents there are.
        columns: what is to be said of some of the table's.
    """
    hints = dlt.mark.make_hints(columns={**columns}) if columns else None
    return _taken_in(path, rows, "typed-jsonl", hints, [])


def _taken_in(path: Path, rows: int, ending: Any, hints: Any, item: Any) -> DataItemWithMeta:
    metrics = DataWriterMetrics(str(path), rows, path.stat().st_size, 0.0, 0.0)
    return DataItemWithMeta(ImportFileMeta(str(path), metrics, ending, hints, False), item)
