"""What dlt's normaliser would make of a frame: tables, columns, and which row of a table belongs to which above it.

Nothing is changed here. Names, and what may be nested, are asked of the normaliser that the schema has; what is told of
a column's values is only what stands in the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dango.columnar.frames import Frame, Spec, Unfit


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one column.

    Attributes:
        kind: what its values are, as `Spec` has it.
        values: one for each row of the table.
        given: where the key was there at all, be it with null; None for everywhere.
    """

    kind: str
    values: pa.Array
    given: pa.Array | None


@dataclass(frozen=True)
class Rows:
    """The rows of a page for one table.

    Attributes:
        table: its name.
        size: how many they are.
        above: the rows that these are nested in; None for the page's own.
        counts: how many there are of these in each row above.
        columns: by name; what the normaliser adds is not among them.
    """

    table: str
    size: int
    above: Rows | None = None
    counts: Any = None
    columns: dict[str, Column] = field(default_factory=dict)

    @cached_property
    def parents(self) -> pa.Array:
        """For each row, the place of the one above."""
        return pc.list_parent_indices(self._layout)

    @property
    def root(self) -> Rows:
        """The rows of the documents themselves."""
        return self if self.above is None else self.above.root

    @cached_property
    def roots(self) -> pa.Array:
        """For each row, the document that it was made of."""
        assert self.above is not None
        return self.parents if self.above.above is None else self.above.roots.take(self.parents)

    @cached_property
    def places(self) -> pa.Array:
        """For each row, its place in its list."""
        first = self._layout.offsets.take(self.parents)
        return pc.subtract(pa.array(range(self.size), pa.int64()), first.cast(pa.int64()))

    @cached_property
    def _layout(self) -> pa.ListArray:
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(self.counts.cast(pa.int64()))])
        return pa.LargeListArray.from_arrays(offsets, pa.nulls(self.size))

    def document(self, row: int) -> int:
        """The document that a row was made of."""
        return row if self.above is None else int(self.roots[row].as_py())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the documents the plan has come to."""

    rows: Rows
    path: tuple[str, ...]
    """The keys from the row to here, as names."""
    levels: int
    """How many levels more may become tables and columns."""
    idents: tuple[tuple[str, ...], tuple[str, ...]]
    """From what the table's name is made: its parent's path, its own."""


class Plan:
    """The tables of a frame.

    Args:
        frame: the page.
        normalizer: the schema's, dlt's relational one.
        table: of the documents.

    Attributes:
        tables: those above before those that are nested in them.

    Raises:
        Unfit: where dlt would do what is not done here.
    """

    def __init__(self, frame: Frame, normalizer: Any, table: str) -> None:
        self._normalizer = normalizer
        self.tables: dict[str, Rows] = {}
        name = normalizer._normalize_table_identifier(table)
        rows = self._begun(Rows(name, len(frame.documents)))
        levels = normalizer._get_table_nesting_level(name, normalizer.max_nesting)
        self._documents(frame.spec, frame.documents, _Place(rows, (), levels, ((), (name,))))

    def _begun(self, rows: Rows) -> Rows:
        if rows.table in self.tables:
            raise Unfit(f"two lists that become `{rows.table}`")
        self.tables[rows.table] = rows
        return rows

    def _documents(self, spec: Spec, documents: pa.StructArray, place: _Place) -> None:
        which, *arrays = documents.flatten()
        for (key, inner), values in zip(spec.fields.items(), arrays, strict=True):
            self._value(key, inner, values, _given(spec, key, which), place)

    def _value(self, key: str, spec: Spec, values: pa.Array, given: pa.Array | None, place: _Place) -> None:
        normalizer, rows = self._normalizer, place.rows
        own = normalizer._normalize_identifier(key) if key and not key.isspace() else normalizer.EMPTY_KEY_IDENTIFIER
        name = normalizer._shorten_fragments(*place.path, own) if place.path else own
        if spec.kind not in ("document", "list"):
            self._column(name, Column(spec.kind, values, given), rows)
            return
        if normalizer._is_nested_type(rows.table, name, place.levels):
            raise Unfit(f"`{name}` is kept as JSON")
        if spec.kind == "document":
            self._documents(spec, values, _Place(rows, (*place.path, own), place.levels - 1, place.idents))
        else:
            self._list(key, spec.fields[""], values, place)
        if values.null_count:
            # A null says of its column that it was there, though not what it is.
            absent = pc.is_null(values) if given is None else pc.and_(pc.is_null(values), given)
            self._column(name, Column("null", pa.nulls(len(values)), absent), rows)

    def _column(self, name: str, column: Column, rows: Rows) -> None:
        if name in rows.columns or name.startswith("_dlt"):
            raise Unfit(f"two values for `{name}`" if name in rows.columns else f"`{name}` in the documents")
        rows.columns[name] = column

    def _list(self, key: str, spec: Spec, lists: pa.ListArray, place: _Place) -> None:
        if not len(lists.values):
            return
        normalizer = self._normalizer
        parent, ident = place.idents
        above = (*parent, *ident)
        path = (*place.path, normalizer._normalize_table_identifier(key))
        table = normalizer._shorten_fragments(*above, *path)
        if not normalizer._should_be_nested(table):
            raise Unfit(f"`{table}` is a table of its own")
        counts = pc.fill_null(pc.list_value_length(lists), 0)
        items = lists.flatten()
        rows = self._begun(Rows(table, len(items), place.rows, counts))
        if spec.kind == "document":
            if items.null_count:
                raise Unfit("lists with null among documents")
            # A row's own level counts, however deep in it the list stands.
            self._documents(spec, items, _Place(rows, (), self._levels(place) - 1, (above, path)))
        elif spec.kind == "list":
            raise Unfit("lists of lists")
        else:
            self._column(normalizer.c_value, Column(spec.kind, items, None), rows)

    def _levels(self, place: _Place) -> int:
        return place.levels + len(place.path)


def _given(spec: Spec, key: str, which: pa.Array) -> pa.Array | None:
    """Where documents have the key."""
    having = [number for number, shape in enumerate(spec.shapes) if key in shape]
    if len(having) == len(spec.shapes):
        return None
    return pc.is_in(which, pa.array(having, pa.int16()))


def occasions(rows: Rows, name: str) -> Iterator[int]:
    """The rows by which dlt comes to know a column: the first that has the key, and the first that has a value."""
    column = rows.columns[name]
    for there in (column.given, pc.is_valid(column.values) if column.values.null_count else None):
        first = 0 if there is None else pc.index(there, True).as_py()
        if 0 <= first < rows.size:
            yield first
