"""What Arrow needs to share a table with dicts: ids of rows, and JSON that is told apart as dicts are."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from dango.dlt_internals import arrow as dlt_arrow
from dango.sources.hints import Instants


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 1000])
def test_row_ids_are_as_long_as_dlts_own_and_all_different(rows: int) -> None:
    ids = dlt_arrow.random_ids(rows)
    ids.validate(full=True)
    assert len({*ids.to_pylist()}) == len(ids) == rows
    assert {len(each) for each in ids.to_pylist()} <= {14}


def test_documents_are_seen_parsed_and_written_as_dlt_writes_them() -> None:
    text = pa.chunked_array([['{"b": 1.10, "a": [1]}', None], ["[123456789012345678901]"]])
    table = pa.table({"doc": text.cast(dlt_arrow.Documents())})
    assert table.to_pylist() == [{"doc": {"b": 1.1, "a": [1]}}, {"doc": None}, {"doc": [123456789012345678901]}]
    written = dlt_arrow.written(table)
    assert written.column("doc").to_pylist() == ['{"b":1.1,"a":[1]}', None, "[123456789012345678901]"]
    assert written.schema.field("doc").type == pa.string()


@pytest.mark.parametrize(
    ("kind", "value", "seen"),
    [
        (pa.date32(), dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc)),
        (pa.timestamp("us"), dt.datetime(9999, 12, 31, 1), dt.datetime(9999, 12, 31, 1, tzinfo=dt.timezone.utc)),
        (pa.int64(), 7, 7),
    ],
)
def test_a_cursor_is_an_instant_only_while_it_is_compared(kind: pa.DataType, value: object, seen: object) -> None:
    table = pa.table({"id": [1], "at": pa.array([value], kind)})
    instants = Instants("at")
    compared = instants(table)
    assert compared.column("at").to_pylist() == [seen]
    assert instants.undone(compared).equals(table)
    assert instants(pa.table({"id": [1]})).column_names == ["id"]
