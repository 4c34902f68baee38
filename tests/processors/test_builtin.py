"""The built-in processors: on records and on tables they come to the same."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from dango.errors import ProcessorFailed
from dango.failed import Failed
from dango.processors.members import Member
from dango.processors.pages import rows
from dango.registry.plugins import PROCESSORS, plugin

UTC = dt.timezone.utc
ROWS: list[dict[str, Any]] = [
    {
        "id": 1, "email": "ann@example.com", "phone": "0301234567", "amount": "12.50", "born": "1990-05-01",
        "score": 1.5, "member": True, "seen": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        "address": {"city": "Berlin", "geo": {"lat": 52.5}},
    },
    {
        "id": 2, "email": None, "phone": "12", "amount": "", "born": "2001-12-31T23:59:59Z", "score": None,
        "member": False, "seen": None, "address": None,
    },
    {
        "id": 3, "email": "bob@example.com", "phone": None, "amount": "7", "born": "1985-01-01", "score": -2.25,
        "member": None, "seen": dt.datetime(2024, 6, 1, tzinfo=UTC), "address": {"city": "Köln", "geo": None},
    },
]  # fmt: skip
SETTINGS = [
    ("rename", {"email": "mail", "id": "email"}),
    ("rename", {"nothing": "something"}),
    ("drop", ["phone", "address"]),
    ("drop", "nothing"),
    ("mask", ["email", "phone", "id", "address", "seen"]),
    ("mask", {"columns": "phone", "keep": 4}),
    ("hash", {"columns": ["email", "id", "score", "member", "seen", "amount", "address"], "salt": "pepper"}),
    ("filter", "amount <> '' AND id < 3"),
    ("filter", "email LIKE 'ann@%' -- a remark"),
    ("filter", "score > 0"),
    ("filter", "nothing IS NULL"),
    ("filter", "nothing > 3"),
    ("filter", "true"),
    ("filter", "current_date > '2020-01-01'"),
    ("filter", "ADDRESS.city = 'Köln'"),
    ("filter", "seen >= '2024-05-01'"),
    ("filter", "CAST(born[:4] AS INTEGER) < 1990"),
    ("cast", {"amount": "decimal", "born": "date", "id": "text", "score": "decimal", "seen": "date"}),
    ("cast", {"amount": "double", "born": "timestamp", "id": "double", "member": "bigint"}),
    ("cast", {"id": "decimal", "member": "text", "seen": "text", "nothing": "date"}),
    ("flatten", None),
    ("flatten", ["address", "id"]),
    ("flatten", "nothing"),
]


def made(name: str, settings: Any) -> tuple[Member, list[Failed]]:
    member: Member = plugin(PROCESSORS, name).load()(settings)
    failed: list[Failed] = []
    member.fail = failed.append
    return member, failed


def through(name: str, settings: Any, page: Any) -> list[dict[str, Any]]:
    member, failed = made(name, settings)
    found = [row for each in member.page(page) for row in rows(each)]
    assert not failed
    return list(map(without_nulls, found))


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """In a table every row has every column: what is null there is not there in a record."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in row.items()
        if value is not None
    }


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_records_and_tables_come_to_the_same(name: str, settings: Any) -> None:
    by_records = through(name, settings, [dict(row) for row in ROWS])
    assert by_records == through(name, settings, pa.Table.from_pylist(ROWS))
    pieces = pa.concat_tables(
        [pa.Table.from_pylist(ROWS[:1]), pa.Table.from_pylist(ROWS[1:])], promote_options="default"
    )
    assert by_records == through(name, settings, pieces)
    assert by_records == [row for each in ROWS for row in through(name, settings, [each])]


def test_what_each_of_them_does() -> None:
    def first(name: str, settings: Any) -> dict[str, Any]:
        return through(name, settings, ROWS)[0]

    assert list(first("rename", {"email": "mail"}))[:3] == ["id", "mail", "phone"]
    assert "phone" not in first("drop", "phone")
    assert first("mask", ["email", "phone"])["phone"] == "***"
    assert first("mask", {"columns": ["phone"], "keep": 4})["phone"] == "***4567"
    expected = hmac.new(b"pepper", b"ann@example.com", hashlib.sha256).hexdigest()
    assert first("hash", {"columns": ["email", "id"], "salt": "pepper"})["email"] == expected
    assert first("hash", {"columns": ["email"], "salt": "salt"})["email"] != expected
    assert [row["id"] for row in through("filter", "score > 0", ROWS)] == [1]
    cast = first("cast", {"amount": "decimal", "born": "date", "seen": "text"})
    assert (cast["amount"], cast["born"]) == (Decimal("12.5"), dt.date(1990, 5, 1))
    assert cast["seen"] == "2024-01-02T03:04:05+00:00"
    flat = first("flatten", ["address"])
    assert (flat["address__city"], flat["address__geo__lat"]) == ("Berlin", 52.5)


def test_never_more_than_half_of_a_value_is_kept() -> None:
    assert through("mask", {"columns": "phone", "keep": 4}, ROWS)[1]["phone"] == "***2"


def test_equal_values_have_equal_hashes_in_every_table() -> None:
    settings = {"columns": "id", "salt": "pepper"}
    (text,), (number,) = through("hash", settings, [{"id": "1"}]), through("hash", settings, [{"id": 1}])
    small = through("hash", settings, pa.table({"id": pa.array([1], pa.int8())}))
    assert text == number == small[0]


BAD = [
    ("decimal", ["12.5", "free", "1e40"], [True, False, False]),
    ("bigint", ["12", "1.5", "x"], [True, False, False]),
    ("bool", ["yes", "off", "maybe"], [True, True, False]),
    ("date", ["2024-01-31", "31.01.2024", "2024-13-01"], [True, False, False]),
    ("timestamp", ["2024-01-31T00:00:00Z", "soon", "2024-01-31"], [True, False, True]),
    ("double", ["1e3", "x", "-0.5"], [True, False, True]),
]


@pytest.mark.parametrize(("kind", "values", "good"), BAD, ids=[kind for kind, *_ in BAD])
@pytest.mark.parametrize("table", [False, True], ids=["records", "table"])
def test_a_value_that_is_none_fails_its_record_and_no_other(
    kind: str, values: list[str], good: list[bool], table: bool
) -> None:
    page = [{"id": number, "value": value} for number, value in enumerate(values)]
    member, failed = made("cast", {"value": kind})
    found = list(member.page(pa.Table.from_pylist(page) if table else page))
    assert [row["id"] for each in found for row in rows(each)] == [n for n, well in enumerate(good) if well]
    assert [record.record["id"] for record in failed] == [n for n, well in enumerate(good) if not well]
    assert {record.message for record in failed} == {f"cast: ValueError: `value` is no {kind}"}
    assert not any(value in record.stack_trace for record in failed for value in ("free", "maybe", "soon"))
    assert (member.count.taken, member.count.failed) == (3, good.count(False))
    if table:
        whole, _ = made("cast", {"value": kind})
        (fine,) = whole.page(pa.Table.from_pylist([row for row, well in zip(page, good, strict=True) if well]))
        assert isinstance(found[0], pa.Table) and isinstance(fine, pa.Table)
        assert found[0].schema == fine.schema


@pytest.mark.parametrize("table", [False, True], ids=["records", "table"])
@pytest.mark.parametrize(
    ("name", "settings", "page", "said"),
    [
        ("rename", {"a": "b"}, [{"a": 1, "b": 2}], "`rename` makes `a` a second `b`"),
        ("flatten", None, [{"a": {"b": 1}, "a__b": 2}], "`flatten` makes a second `a__b`"),
        ("filter", "a.b.c = 1", [{"a": 1}], "`filter`: Binder Error"),
        ("filter", "a > 4", [{"a": "5"}], "`filter`: Binder Error: Cannot compare values of type VARCHAR"),
    ],
)
def test_what_can_be_no_table_fails_as_a_whole(
    name: str, settings: Any, page: list[dict[str, Any]], said: str, table: bool
) -> None:
    member, _ = made(name, settings)
    with pytest.raises(ProcessorFailed, match=f"^{said}"):
        list(member.page(pa.Table.from_pylist(page) if table else page))


def test_a_condition_sees_the_records_and_nothing_else(tmp_path: Any) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    member, _ = made("filter", f"EXISTS (SELECT 1 FROM read_csv('{file}'))")
    with pytest.raises(ProcessorFailed, match=r"^`filter`: Permission Error"):
        list(member.page([{"a": 1}]))


def test_records_whose_values_are_of_several_kinds_are_asked_one_by_one() -> None:
    page = [{"id": 1, "v": 5}, {"id": 2, "v": "7"}, {"id": 3, "v": {"a": 1}}, {"id": 4, "v": 1}, {"id": 5, "v": 4.5}]
    member, failed = made("filter", "v > 4")
    assert [row["id"] for each in member.page(page) for row in rows(each)] == [1, 5]
    assert [record.record["id"] for record in failed] == [2, 3]
    assert failed[0].message.startswith("filter: ValueError: Binder Error: Cannot compare values of type VARCHAR")
    member, failed = made("filter", "CAST(v AS INTEGER) > 4")
    assert [row["id"] for each in member.page([{"id": 1, "v": "5"}, {"id": 2, "v": "x"}]) for row in each] == [1]
    assert [record.record["id"] for record in failed] == [2]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("drop", ["id", "emial"]),
        ("mask", ["id", "emial"]),
        ("filter", "id > 0 OR emial IS NULL"),
        ("flatten", ["id", "emial"]),
        ("cast", {"id": "text", "emial": "text"}),
    ],
)
@pytest.mark.parametrize("table", [False, True], ids=["records", "table"])
def test_columns_that_no_record_has_are_told(name: str, settings: Any, table: bool) -> None:
    member, _ = made(name, settings)
    assert member.missing == ()  # nobody knows before anything came
    list(member.page(pa.Table.from_pylist(ROWS) if table else ROWS))
    assert member.missing == ("emial",)


def test_a_table_without_rows_keeps_its_columns() -> None:
    empty = pa.Table.from_pylist(ROWS).slice(0, 0)
    for name, settings in SETTINGS:
        member, failed = made(name, settings)
        (found,) = member.page(empty)
        assert isinstance(found, pa.Table) and len(found) == 0 and found.num_columns and not failed
    member, _ = made("filter", "id > 5")
    (none,) = member.page(pa.Table.from_pylist(ROWS))
    assert isinstance(none, pa.Table) and len(none) == 0 and none.num_columns == 9
    assert (member.count.given, member.count.dropped) == (0, 3)


def kinds() -> Iterator[pa.Array]:
    values = [1, None, 3]
    for kind in (pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(30, 2), pa.large_string(), pa.string()):
        yield pa.array(values, pa.int64()).cast(kind)
    yield pa.array([b"a", None, b"b"], pa.binary())
    yield pa.array([dt.time(1), None, dt.time(2)], pa.time64("us"))
    yield pa.array([1, None, 2], pa.timestamp("ns", "UTC"))
    yield pa.array(["a", None, "b"]).dictionary_encode()
    yield pa.array([[1], None, [2]])
    yield pa.nulls(3)


@pytest.mark.parametrize("column", list(kinds()), ids=lambda column: str(column.type))
def test_columns_of_every_type_can_be_hidden(column: pa.Array) -> None:
    table = pa.table({"v": column})
    valid = [row is not None for row in column.to_pylist()] if pa.types.is_null(column.type) else [True, False, True]
    for name, settings in (("mask", "v"), ("hash", {"columns": "v", "salt": "pepper"}), ("cast", {"v": "text"})):
        member, failed = made(name, settings)
        (found,) = member.page(table)
        assert [value is not None for value in found.column("v").to_pylist()] == valid and not failed
        assert found.schema.field("v").type == pa.string()
