"""Files as Parquet in the shape of their table, column by column, where that is the same as row by row.

It is where each column has one type in all rows, and that type in the table, or none yet. Else dlt decides value by
value (variants, coercion, nested tables), and the file is read row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dlt.sources import DltResource

from dango import digits, external
from dango.dlt_internals import extracting as dlt_extracting
from dango.dlt_internals import files as dlt_files
from dango.dlt_internals.tables import LOAD_ID, ROW_ID, transactional
from dango.duckdb_text import literal, quoted

ROWS = 122_880
"""Rows that are in memory at once, and in a row group of a Parquet file."""

TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
    "binary": pa.binary(),
    "decimal": pa.decimal128(*digits.OWN),
}
"""How a column of dlt's type is written: as dlt writes it where nothing more is said of it."""


class Irregular(Exception):
    """A file has to be read row by row; the message says why."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds, column by column.

    Attributes:
        types: dlt's type of each column that holds a value, by the names in the file.
        first: the first text of each column that is text.
        batches: opens the rows, in batches of Arrow with these columns and types. What cannot be read so raises
            `Irregular` there, too.
        narrower: the types of columns that the destination widens to the table's while it loads, and loses nothing.
        relation: what may follow FROM in DuckDB for the same columns of the same rows, an error where a value is not
            of its type; None where DuckDB would not read the same.
    """

    types: Mapping[str, str]
    first: Mapping[str, str]
    batches: Callable[[], AbstractContextManager[Iterator[pa.RecordBatch]]]
    narrower: Mapping[str, pa.DataType] = field(default_factory=dict)
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table as a file is to fill it."""

    field: pa.Field
    source: str | None = None
    """The name in the file; None where it has no such column."""
    constant: str | None = None
    """The value in all rows of the file."""


class Table:
    """A resource's table as far as it is known while the resource is extracted.

    Args:
        resource: the resource.
        constants: the columns that all rows of a file have in common, with their values; they are text.
        hinted: the columns of which the user says something.
    """

    def __init__(self, resource: DltResource, constants: Mapping[str, str], hinted: Collection[str]) -> None:
        self._resource, self._hinted = resource, hinted
        self.name = dlt_files.table_of(resource)
        self._constants = {**constants, LOAD_ID: dlt_files.load_id()}
        self._known = dlt_files.known(self.name)
        self._said = {**self._known}
        for name, hints in dlt_files.hinted(resource).items():
            self._said[name] = {**self._said.get(name, {}), **hints}

    def require_plain(self) -> None:
        """Raises `Irregular` where rows are wanted whatever a file holds."""
        self.require_untouched()
        disposition = self._resource.write_disposition
        strategy = disposition.get("strategy", "delete-insert") if isinstance(disposition, Mapping) else "delete-insert"
        if strategy != "delete-insert":
            raise Irregular(f"the merge strategy `{strategy}` looks at each row")

    def require_untouched(self) -> None:
        """Raises `Irregular` where anything looks at rows on their way to the table."""
        if dlt_extracting.goes_through(self._resource._pipe):
            raise Irregular("processors look at each row")
        if self._resource.limit is not None:
            raise Irregular("only the first rows are wanted")
        if self._resource.incremental is not None:
            raise Irregular("a cursor looks at each row")

    def said(self, source: str) -> str | None:
        """The type in the table of a file's column, where it has one."""
        return self._said.get(dlt_files.normalized(source), {}).get("data_type")

    def decimals(self, found: Mapping[str, digits.Digits]) -> dict[str, Any]:
        """What is to be said of a file's columns of decimals that the table's, if it has them, do not hold yet.

        The table keeps its own where it cannot have as many as both need: the numbers themselves may be shorter.
        """
        wanted = {
            source: self._digits(name, these)
            for source, these in found.items()
            if (name := dlt_files.normalized(source)) not in self._hinted
            and self._said.get(name, {}).get("data_type", "decimal") == "decimal"
        }
        return {
            source: {"data_type": "decimal", "precision": to[0], "scale": to[1]}
            for source, to in wanted.items()
            if to is not None and to != self._now(dlt_files.normalized(source))
        }

    @property
    def undecided(self) -> Mapping[str, digits.Digits]:
        """The table's columns of decimals, each with dlt's own digits: for rows that do not say theirs."""
        return {name: digits.OWN for name, said in self._known.items() if said.get("data_type") == "decimal"}

    def _digits(self, name: str, found: digits.Digits) -> digits.Digits | None:
        """How many digits a column has when numbers of these come; None where it cannot have enough of them."""
        now = self._now(name)
        if now is None:
            return digits.roomy(found) if transactional() else digits.exact(found)
        if digits.hold(now, found):
            return now
        to = digits.grown(self._said[name], {"precision": found[0], "scale": found[1]})
        may = transactional() and name not in self._hinted
        return to if may and to is not None and to[0] <= digits.MOST else None

    def _now(self, name: str) -> digits.Digits | None:
        """How many digits a column of decimals has; None where it is none yet."""
        said = self._said.get(name, {})
        return digits.of(said) if "data_type" in said else None

    def columns(self, contents: Contents) -> list[Column]:
        """What fills the table's columns, in their order. Raises `Irregular`."""
        if not contents.types:
            raise Irregular("no column of it holds a value")
        sources = self._sources(contents)
        for name, source in sources.items():
            self._require_fit(name, source, contents)
        complete = [name for name, said in self._said.items() if "data_type" in said]
        # Row ids cost as much as four columns of numbers: where no earlier row has one, nothing needs them yet.
        ids = [ROW_ID] if ROW_ID in self._known or not transactional() else []
        filled = [next(iter(self._constants)), *sources, LOAD_ID, *ids]
        order = [name for name in self._known if name in filled or name in complete]
        order += [name for name in (*filled, *complete) if name not in order]
        order = list(dict.fromkeys(order))
        new = [name for name in order if "data_type" not in self._known.get(name, {})]
        grown = [name for name, source in sources.items() if self._grows(name, source, contents)]
        if (new or grown) and not dlt_files.may_evolve(self._resource, self.name):
            raise Irregular("the schema contract looks at what is new")
        return [self._column(name, sources, contents) for name in order]

    def _sources(self, contents: Contents) -> dict[str, str]:
        """The columns of the file by the names that they get."""
        found: dict[str, str] = {}
        for source in contents.types:
            name = dlt_files.normalized(source)
            if not source or source.isspace() or name in found or dlt_files.normalized(name) != name:
                raise Irregular(f"the name of the column `{source}` is not its own in the table")
            if name in (*self._constants, ROW_ID):
                raise Irregular(f"it has a column `{source}` of its own")
            found[name] = source
        return found

    def _require_fit(self, name: str, source: str, contents: Contents) -> None:
        said, kind = self._said.get(name, {}), contents.types[source]
        if said.get("data_type", kind) != kind:
            raise Irregular(f"`{name}` is {kind} in it and {said['data_type']} in the table")
        if kind == "decimal" and "data_type" in said:
            _require_digits(said)
            if self._digits(name, _digits(source, contents)) is None:
                raise Irregular(f"`{name}` may have more digits in it than in the table")
        elif (said.get("precision"), said.get("scale")) != (None, None) or said.get("timezone") is False:
            raise Irregular(f"the table says more of `{name}` than its type")
        if "data_type" not in said and dlt_files.taken_for_time(contents.first.get(source, "")):
            raise Irregular(f"`{name}` is text that begins with a time")

    def _column(self, name: str, sources: Mapping[str, str], contents: Contents) -> Column:
        said = self._said.get(name, {})
        nullable = bool(said.get("nullable", name not in (LOAD_ID, ROW_ID)))
        if name in self._constants:
            return Column(pa.field(name, pa.string(), nullable), constant=self._constants[name])
        if name in sources:
            return Column(pa.field(name, self._kind(name, sources[name], contents), nullable), source=sources[name])
        if name != ROW_ID and not nullable:
            raise Irregular(f"it has no column `{name}`, which must be filled")
        return Column(pa.field(name, _type(name, said) if name != ROW_ID else pa.string(), nullable))

    def _kind(self, name: str, source: str, contents: Contents) -> pa.DataType:
        """The type in the table of a column of the file."""
        if contents.types[source] != "decimal":
            return TYPES[contents.types[source]]
        to = self._digits(name, _digits(source, contents))
        assert to is not None  # or it would not fit
        return pa.decimal128(*to)

    def _grows(self, name: str, source: str, contents: Contents) -> bool:
        """Whether a column of decimals gets more digits."""
        if contents.types[source] != "decimal" or (now := self._now(name)) is None:
            return False
        return self._digits(name, _digits(source, contents)) != now


def _digits(source: str, contents: Contents) -> digits.Digits:
    """How many a file's column of decimals has."""
    kind = contents.narrower[source]
    return kind.precision, kind.scale


def _require_digits(said: Mapping[str, Any]) -> None:
    """Raises `Irregular` where the table says half of how many digits a column has: destinations differ."""
    if (said.get("precision") is None) != (said.get("scale") is None):
        raise Irregular(f"the table does not say all of the digits of `{said['name']}`")


def _type(name: str, said: Mapping[str, Any]) -> pa.DataType:
    """The type of a column that the file has not."""
    kind = said["data_type"]
    if kind == "json":
        return pa.string()
    if kind == "timestamp" and said.get("timezone") is False:
        return pa.timestamp("us")
    if kind not in TYPES:
        raise Irregular(f"`{name}` is {kind} in the table, and not in it")
    if kind == "decimal":
        _require_digits(said)
        return pa.decimal128(*digits.of(said))
    return TYPES[kind]


def write(path: Path, contents: Contents, columns: Sequence[Column]) -> tuple[pa.Schema, int]:
    """Writes a file's rows as Parquet.

    Returns:
        the columns as the table has them, and how many rows there are.

    Raises:
        Irregular: when a value is missing that must be there.
    """
    kept = [contents.narrower.get(column.source or "", column.field.type) for column in columns]
    schema = pa.schema([column.field.with_type(kind) for column, kind in zip(columns, kept, strict=True)])
    repeated = [name for name in schema.names if name != ROW_ID]
    begin, rows = dlt_files.row_ids(), 0
    # What is read once, and soon, is not worth packing.
    options = {"compression": "none", "use_dictionary": repeated, "write_statistics": False}
    with contents.batches() as batches, pq.ParquetWriter(path, schema, **options) as file:
        for batch in batches:
            arrays = [_array(column, batch, begin, rows) for column in columns]
            file.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            rows += batch.num_rows
    return pa.schema([column.field for column in columns]), rows


def refer(path: Path, file: Path, relation: str, columns: Sequence[Column]) -> pa.Schema:
    """Writes a Parquet file that stands for another, which is read when it is loaded.

    Args:
        path: where it is written.
        file: what it stands for.
        relation: of its contents.
        columns: what fills the table's columns; none of them is the row id.

    Returns:
        the columns as the table has them.
    """
    sources = {column.field.name: quoted(column.source) for column in columns if column.source is not None}
    constants = {column.field.name: literal(column.constant) for column in columns if column.constant is not None}
    filled = ", ".join(f"{value} AS {quoted(name)}" for name, value in {**constants, **sources}.items())
    schema = pa.schema([column.field for column in columns])
    external.write(path, schema, external.looked_at(file, f"SELECT {filled} FROM {relation}"))
    return schema


def _array(column: Column, batch: pa.RecordBatch, begin: str, row: int) -> pa.Array:
    if column.constant is not None:
        return pa.repeat(pa.scalar(column.constant, column.field.type), batch.num_rows)
    if column.field.name == ROW_ID:
        numbers = pa.array(range(row, row + batch.num_rows), pa.int64()).cast(pa.string())
        return pc.binary_join_element_wise(begin, numbers, "")
    if column.source is None:
        return pa.nulls(batch.num_rows, column.field.type)
    values = batch.column(column.source)
    if values.null_count and not column.field.nullable:
        raise Irregular(f"a value of `{column.field.name}` is missing")
    return values
