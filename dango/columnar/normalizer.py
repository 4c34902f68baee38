"""dlt's normaliser of documents, which takes frames too.

A frame is normalised in columns where every step of dlt's is known to come to the same; its documents are made again
for dlt's own code otherwise, before anything is written. What a schema is to learn, it learns from dlt's own code, by
the few documents that show it something new.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.data_writers.writers import ParquetDataWriter
from dlt.common.json import json, may_have_pua
from dlt.common.normalizers.json.helpers import get_row_hash
from dlt.common.normalizers.json.relational import DataItemNormalizer
from dlt.common.schema.utils import has_table_seen_data, is_complete_column
from dlt.normalize.items_normalizers import JsonLItemsNormalizer

from dango.columnar.arrays import converted, nested_ids
from dango.columnar.frames import Frame, Unfit
from dango.columnar.plan import Column, Plan, Rows, occasions
from dango.dlt_internals.arrow import random_ids
from dango.dlt_internals.tables import let_ids_be_missing

Note = Callable[[str, str], None]
"""`note(table, why)`: a page of the table came by columns, or, where `why` is not empty, by rows."""

_HASHED = ("text", "bigint", "bool")
"""Kinds whose values are in a key's hash what they are in the frame."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A page's values for one table, before its schema is changed."""

    rows: Rows
    arrays: dict[str, pa.Array]


class ColumnarNormalizer(JsonLItemsNormalizer):
    """Takes frames in columns, everything else as its base does.

    Args:
        note: hears which way each page went.
        args: as its base takes them.
        kwargs: as its base takes them.
    """

    def __init__(self, note: Note, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._note = note
        self._types: dict[tuple[Any, ...], pa.DataType] = {}

    def _normalize_chunk(self, root_table_name: str, items: Any, may_have_pua: bool, skip_write: bool) -> Any:
        if (known := self.schema.tables.get(root_table_name)) and has_table_seen_data(known):
            let_ids_be_missing(self.schema, root_table_name)
        frame = Frame.read(items)
        if frame is None:
            return super()._normalize_chunk(root_table_name, items, may_have_pua, skip_write)
        drafts, news = self._foreseen(frame, root_table_name)
        # Not where `Unfit` is handled: an error of dlt's would seem to come of it.
        if not drafts:
            return self._by_rows(frame, root_table_name)
        learnt = self._learn(frame, root_table_name, news)
        if not all(map(self._as_foreseen, drafts)):
            self._note(root_table_name, "columns that dlt has made otherwise than foreseen")
            return _joined(learnt, self._by_rows(frame, root_table_name))
        self._write(drafts)
        return learnt

    def _foreseen(self, frame: Frame, table: str) -> tuple[Sequence[_Draft], Sequence[int]]:
        """What is to be written, and the documents that the schema is to learn from; nothing where rows must do."""
        try:
            plan = self._planned(frame, table)
            drafts = self._drafted(plan)
            self._require_evolving(drafts)
        except Unfit as why:
            self._note(table, str(why))
            return (), ()
        return drafts, sorted({document for draft in drafts for document in self._news(draft)})

    @property
    def _relational(self) -> Any:
        return self.schema.data_item_normalizer

    # --- nothing is changed yet -------------------------------------------------------------------

    def _planned(self, frame: Frame, table: str) -> Plan:
        normalizer = self._relational
        if type(normalizer) is not DataItemNormalizer or self.schema._compiled_excludes:
            raise Unfit("a normaliser or filters of the source's own")
        if self.item_storage.writer_cls is not ParquetDataWriter:
            raise Unfit("files that are not Parquet")
        return Plan(frame, normalizer, table)

    def _drafted(self, plan: Plan) -> list[_Draft]:
        drafts = [_Draft(rows, self._arrays(rows)) for rows in plan.tables.values()]
        # The digests cost most; nothing stands in the way of the rest by now.
        ids: dict[str, pa.Array] = {}
        for draft in drafts:
            draft.arrays.update(self._own(draft.rows, ids))
            self._require_whole(draft)
        return drafts

    def _arrays(self, rows: Rows) -> dict[str, pa.Array]:
        arrays = {}
        for name, column in rows.columns.items():
            hint = self._hint(rows.table, name)
            if "data_type" not in hint:
                if (value := _first(column)) is None:
                    continue
                hint["data_type"] = self._infer_column_type(value, name)
            target = self._arrow_type(hint)
            arrays[name] = converted(name, column.kind, column.values, hint["data_type"], target)
        return arrays

    def _hint(self, table: str, name: str) -> dict[str, Any]:
        """What the schema says of a column; without a type where it does not know one."""
        known = self.schema.tables.get(table)
        return dict(known["columns"].get(name) or {}) if known else {}

    def _own(self, rows: Rows, ids: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """The columns that the normaliser adds. `ids` are those of the tables above; this one's are put there."""
        normalizer = self._relational
        propagated = self._propagated(rows)
        if rows.above is None:
            made = self._root_ids(rows)
            own = {normalizer.c_dlt_load_id: pa.repeat(self.load_id, rows.size)}
        else:
            above = ids[rows.above.table]
            made = self._nested_ids(rows, above)
            own = {normalizer.c_dlt_parent_id: above.take(rows.parents), normalizer.c_dlt_list_idx: rows.places}
            if propagated:
                own[propagated] = next(iter(ids.values())).take(rows.roots)
        ids[rows.table] = made
        return {**own, normalizer.c_dlt_id: made}

    def _propagated(self, rows: Rows) -> str:
        """The column of nested tables that has the id of the document; empty where none has."""
        normalizer = self._relational
        if not normalizer.propagation_config:
            return ""
        if rows.above is not None and normalizer._get_propagation_mapping(rows.table, False):
            raise Unfit("columns that nested tables take from those above")
        mapping = normalizer._get_propagation_mapping(rows.root.table, True)
        if not {*mapping} <= {normalizer.c_dlt_id}:
            raise Unfit("columns that nested tables take from those above")
        return str(mapping.get(normalizer.c_dlt_id, ""))

    def _nested_ids(self, rows: Rows, above: pa.Array) -> pa.Array:
        """Digests, where the document's own id is the same each time; of one by chance a digest is chance, too."""
        if self._relational._get_root_row_id_type(rows.root.table) == "random":
            return random_ids(rows.size)
        return nested_ids(rows.table, above.to_pylist(), rows.counts.to_pylist())

    def _root_ids(self, rows: Rows) -> pa.Array:
        normalizer = self._relational
        made_of = normalizer._get_root_row_id_type(rows.table)
        if made_of == "random":
            return random_ids(rows.size)
        key = normalizer._get_primary_key(rows.table)
        columns = [rows.columns.get(name) for name in key]
        if made_of != "key_hash" or not all(c and c.kind in _HASHED and c.given is None for c in columns):
            raise Unfit("ids that are made of the rows")
        values = zip(*(column.values.to_pylist() for column in columns if column), strict=True)
        return pa.array([get_row_hash(dict(zip(key, row, strict=True)), subset=key) for row in values], pa.string())

    def _require_whole(self, draft: _Draft) -> None:
        """dlt tells of nulls where none may be in its own words."""
        table = draft.rows.table
        for name, array in draft.arrays.items():
            strict = self._hint(table, name).get("nullable") is False or self.schema._infer_hint("not_null", name)
            if array.null_count and strict:
                raise Unfit(f"null in `{name}`")
        known = self.schema.tables.get(table) or {"columns": {}}
        for name, column in known["columns"].items():
            if column.get("nullable") is False and is_complete_column(column) and name not in draft.arrays:
                raise Unfit(f"no `{name}`")

    def _news(self, draft: _Draft) -> Iterator[int]:
        """The documents that show the schema something of a table: a value, or that there is none."""
        rows = draft.rows
        if any("data_type" not in self._hint(rows.table, name) for name in draft.arrays.keys() - rows.columns):
            yield rows.document(0)
        for name in rows.columns:
            if "data_type" not in self._hint(rows.table, name):
                yield from map(rows.document, occasions(rows, name))

    def _require_evolving(self, drafts: Sequence[_Draft]) -> None:
        for draft in drafts:
            rows = draft.rows
            if all("data_type" in self._hint(rows.table, name) for name in draft.arrays):
                continue
            while rows.above is not None and rows.table not in self.schema.tables:
                rows = rows.above
            contract = self.schema.resolve_contract_settings_for_table(rows.table)
            if {*contract.values()} != {"evolve"}:
                raise Unfit("something new under a contract")

    # --- dlt's own code ---------------------------------------------------------------------------

    def _by_rows(self, frame: Frame, table: str) -> Any:
        return self._chunk(frame.rows(), table, skip_write=False)

    def _learn(self, frame: Frame, table: str, documents: Sequence[int]) -> Any:
        return self._chunk(frame.rows(documents), table, skip_write=True) if documents else {}

    def _chunk(self, documents: Sequence[Any], table: str, *, skip_write: bool) -> Any:
        # As they would have come from a file: some of dlt's steps work on what stands there.
        line = json.typed_dumpb(documents)
        return super()._normalize_chunk(table, json.loadb(line), may_have_pua(line), skip_write)

    # --- to the files -----------------------------------------------------------------------------

    def _as_foreseen(self, draft: _Draft) -> bool:
        hints = {name: self._hint(draft.rows.table, name) for name in draft.arrays}
        return all(
            "data_type" in hints[name] and self._arrow_type(hints[name]) == array.type
            for name, array in draft.arrays.items()
        )

    def _write(self, drafts: Sequence[_Draft]) -> None:
        for draft in drafts:
            table = draft.rows.table
            columns = self._column_schemas[table] = self.schema.get_table_columns(table)
            rows = pa.table(dict(draft.arrays))
            self.item_storage.write_data_item(self.load_id, self.schema.name, table, rows, columns)
            self._report_progress(table, draft.rows.size)
            self._note(table, "")

    def _arrow_type(self, hint: Mapping[str, Any]) -> pa.DataType:
        """The type of a column in the files, which the writer itself tells."""
        said = tuple(hint.get(key) for key in ("data_type", "precision", "scale", "timezone"))
        if said not in self._types:
            self._writer.write_header({"column": {**hint, "name": "column"}})
            self._types[said] = self._writer.schema.field(0).type
            self._writer.close()
        return self._types[said]

    @cached_property
    def _writer(self) -> Any:
        """One writer for all types: dlt looks for its settings in every place when one is made."""
        return ParquetDataWriter(io.BytesIO(), caps=self.config.destination_capabilities)


def _first(column: Column) -> Any:
    """The first value that is not null, as dlt's own code would come upon it."""
    first = pc.index(pc.is_valid(column.values), True).as_py()
    if first < 0:
        return None
    value = column.values[first].as_py()
    if column.kind == "decimal":
        return Decimal(value)
    if column.kind == "number":
        return value["broken"] if value["whole"] is None else value["whole"]
    return value


def _joined(*updates: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    tables = dict.fromkeys(name for update in updates for name in update)
    return {name: [part for update in updates for part in update.get(name, ())] for name in tables}
