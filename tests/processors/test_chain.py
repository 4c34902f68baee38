"""Functions of one's own in a chain: what they take and give, what is counted, and that all are closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest

from dango.errors import DangoError, ProcessorFailed
from dango.failed import Failed
from dango.processors.builtin import Cast, Drop, Filter, Hash, Mask, Rename
from dango.processors.chain import Chain
from dango.processors.members import PAGE, ByBatch, ByRecord, Member, Streaming
from dango.processors.pages import rows

ROWS = [{"id": number, "name": f"n{number}"} for number in range(5)]


class Run:
    """A chain, what it gives and what fails in it."""

    def __init__(self, *make: Callable[[], Member]) -> None:
        self.failed: list[Failed] = []
        self.chain = Chain(make, self.failed.append, lambda position, error: DangoError(f"{position}: {error}"))
        self.chain.begin()

    def __call__(self, *items: Any) -> list[Any]:
        pages = [page for item in items for page, _ in self.chain.push(item)]
        pages += [page for page, _ in self.chain.end()]
        return [row for page in pages for row in rows(page)]

    @property
    def counts(self) -> list[tuple[int, int, int, int]]:
        return [(m.count.taken, m.count.given, m.count.dropped, m.count.failed) for m in self.chain.members]


def by_record(function: Callable[[Any], Any]) -> Callable[[], Member]:
    return lambda: ByRecord("rules:each", function)


def by_batch(function: Callable[[Any], Any], *, batches: bool = False) -> Callable[[], Member]:
    return lambda: ByBatch("rules:batch", function, batches=batches)


def stream(function: Callable[[Iterator[Any]], Any], *, tables: bool = False) -> Callable[[], Member]:
    return lambda: Streaming("rules:all", function, "a-stream", tables=tables)


def odd(row: dict[str, Any]) -> Any:
    if row["id"] == 1:
        return None
    if row["id"] == 2:
        raise ValueError("two")
    if row["id"] == 3:
        return [row, {**row, "id": 30}]
    return Failed(row, "four") if row["id"] == 4 else {**row, "new": "x"}


@pytest.mark.parametrize("page", [ROWS, pa.Table.from_pylist(ROWS)], ids=["records", "table"])
def test_a_function_gives_a_record_another_several_or_none(page: Any) -> None:
    run = Run(by_record(odd))
    assert [(row["id"], row.get("new")) for row in run(page)] == [(0, "x"), (3, None), (30, None)]
    assert [(each.record["id"], each.message) for each in run.failed] == [
        (2, "rules:each: ValueError: two"),
        (4, "rules:each: four"),
    ]
    assert run.counts == [(5, 3, 1, 2)]


def test_a_table_is_a_table_again_with_the_types_that_it_had() -> None:
    table = pa.table({"a": pa.array([1, 2], pa.int8()), "b": pa.array(["x", None], pa.large_string())})
    chain = Run(by_record(lambda row: {**row, "c": row["a"] / 2} if row["a"] < 3 else {**row, "a": "three"})).chain
    ((made, _),) = chain.push(table)
    assert made.schema == pa.schema([("a", pa.int8()), ("b", pa.large_string()), ("c", pa.float64())])
    # A page without a value of a column has the type that it had before.
    ((made, _),) = chain.push(pa.table({"a": pa.array([3], pa.int8()), "b": pa.nulls(1)}))
    assert made.to_pylist() == [{"a": "three", "b": None}]


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("page", [ROWS, pa.Table.from_pylist(ROWS)], ids=["records", "table"])
def test_a_function_of_batches_sees_tables_and_gives_back_what_came(page: Any, batches: bool) -> None:
    seen: list[type] = []

    def even(batch: Any) -> Any:
        seen.append(type(batch))
        return batch.filter(pa.compute.equal(pa.compute.bit_wise_and(batch.column("id"), 1), 0))

    run = Run(by_batch(even, batches=batches))
    made = [page for page, _ in run.chain.push(page)]
    assert [row["id"] for page in made for row in rows(page)] == [0, 2, 4]
    assert seen == [pa.RecordBatch if batches else pa.Table]
    assert all(type(each) is type(page) for each in made)
    assert run.counts == [(5, 3, 2, 0)]


def test_single_records_come_to_batches_and_streams_in_pages() -> None:
    sizes: list[int] = []
    run = Run(by_batch(lambda table: [sizes.append(len(table)), table][1]))
    assert len(run(*({"id": number} for number in range(PAGE + 7)))) == PAGE + 7
    assert sizes == [PAGE, 7]


def test_pages_are_not_mixed_up_with_records_that_wait_nor_what_dlt_is_told_of_them() -> None:
    chain = Run(by_batch(lambda table: table)).chain
    here, there = object(), object()
    found = [
        each
        for item, meta in [({"id": 1}, here), ({"id": 2}, here), ({"id": 3}, there), ([{"id": 4}], None)]
        for each in chain.push(item, meta)
    ]
    assert found == [([{"id": 1}, {"id": 2}], here), ([{"id": 3}], there), ([{"id": 4}], None)]


def test_a_stream_takes_all_records_and_gives_what_it_likes() -> None:
    def totals(records: Iterator[dict[str, Any]]) -> Iterator[Any]:
        seen = 0
        for row in records:
            seen += row["id"]
            if row["id"] % 2:
                yield row
        yield {"total": seen}
        yield Failed({"id": -1}, "not good")
        yield [{"total": 1}, {"total": 2}]
        yield pa.table({"total": [3]})

    run = Run(stream(totals))
    assert run(ROWS[:2], ROWS[2], pa.Table.from_pylist(ROWS[3:])) == [
        *(ROWS[1], ROWS[3]),
        *({"total": total} for total in (10, 1, 2, 3)),
    ]
    assert run.counts == [(5, 6, 0, 1)]
    assert not [thread for thread in threading.enumerate() if thread.name == "a-stream"]


def test_a_stream_may_take_tables_end_before_its_items_do_or_never_look_at_them() -> None:
    assert Run(stream(lambda tables: ({"rows": len(table)} for table in tables), tables=True))(ROWS[:2], ROWS) == [
        {"rows": 2}, {"rows": 5},
    ]  # fmt: skip
    assert Run(stream(lambda records: islice(records, 3)))(ROWS, ROWS) == ROWS[:3]
    assert Run(stream(lambda records: [{"id": 9}]))(ROWS) == [{"id": 9}]
    assert Run(stream(lambda records: sorted(records, key=lambda row: -row["id"])))(ROWS[:3], ROWS[3:]) == ROWS[::-1]
    assert Run(stream(lambda records: [{"none": not list(records)}]))() == [{"none": True}]


def test_what_a_stream_gives_at_its_end_is_made_as_it_is_wanted() -> None:
    made: list[int] = []

    def many(records: Iterator[Any]) -> Iterator[Any]:
        list(records)
        for number in range(10 * PAGE):
            made.append(number)
            yield {"id": number}

    run = Run(stream(many))
    list(run.chain.push(ROWS))
    next(run.chain.end())
    assert len(made) == PAGE
    run.chain.close()


def test_pages_keep_the_form_of_the_first_for_dlt_takes_not_both_at_once() -> None:
    def mixed(records: Iterator[Any]) -> Iterator[Any]:
        for row in records:
            yield row if row["id"] % 2 else pa.table({"id": pa.array([row["id"]], pa.int8())})

    chain = Run(stream(mixed)).chain
    first, *others = [page for page, _ in chain.push(ROWS)]
    assert isinstance(first, pa.Table) and all(page.schema.field("id").type == pa.int8() for page in others)
    chain.close()
    chain = Run(stream(mixed)).chain
    assert all(isinstance(page, list) for page, _ in chain.push(ROWS[1:]))
    chain.close()
    named = type("Meta", (), {"table_name": "x"})()
    chain = Run(by_record(dict)).chain
    kinds = [type(page) for item in (ROWS, pa.table({"id": [1]})) for page, _ in chain.push(item, named)]
    assert kinds == [list, pa.Table]


def test_a_chain_goes_from_one_to_the_next_and_ends_in_their_order() -> None:
    def last(records: Iterator[Any]) -> Iterator[Any]:
        yield from records
        yield {"id": 99}

    double = by_record(lambda row: {"id": row["id"] * 2})
    run = Run(stream(last), double, stream(last), lambda: Filter("id > 4"), double)
    assert [row["id"] for row in run(ROWS)] == [12, 16, 396, 198]
    assert run.counts == [(5, 6, 0, 0), (6, 6, 0, 0), (6, 7, 0, 0), (7, 4, 3, 0), (4, 4, 0, 0)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (by_record(lambda row: 5), "`rules:each` gave int for a record"),
        (by_batch(lambda table: table.to_pylist()), "`rules:batch` gave dict for a batch"),
        (by_batch(lambda table: 1 / 0), "division by zero"),
        (stream(lambda records: [5]), "`rules:all` gave int"),
        (stream(lambda records: 5), "'int' object is not iterable"),
        (stream(lambda records: [1 / 0 for _ in records]), "division by zero"),
    ],
)
def test_what_gives_no_records_fails_and_says_which_it_is(make: Callable[[], Member], said: str) -> None:
    with pytest.raises(DangoError, match=f"^1: {said}"):
        Run(by_record(dict), make)(ROWS)


def test_records_that_can_be_no_table_say_what_would_help() -> None:
    with pytest.raises(ProcessorFailed, match="`v` has values of several kinds") as raised:
        list(ByBatch("rules:batch", lambda table: table, batches=False).page([{"v": 1}, {"v": "x"}]))
    assert raised.value.hint.startswith("`cast` it first: `cast: {v: text}`")


def test_all_are_closed_in_the_end_whatever_some_of_them_do() -> None:
    closed: list[str] = []

    def closing(name: str, *, badly: bool = False) -> Callable[[], Member]:
        def close() -> None:
            closed.append(name)
            if badly:
                raise OSError("a close that fails")

        return lambda: ByRecord(name, dict, close)

    def waiting(records: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from records
        finally:
            closed.append("stream")

    run = Run(closing("first"), stream(waiting), closing("second", badly=True), closing("third"))
    list(run.chain.push(ROWS))
    with pytest.raises(OSError, match="a close that fails"):
        run.chain.close()
    assert closed == ["third", "second", "stream", "first"]
    assert not [thread for thread in threading.enumerate() if thread.name == "a-stream"]
    run.chain.close()
    assert len(closed) == 4


def test_one_that_cannot_be_made_is_told_and_those_before_it_are_closed() -> None:
    closed: list[str] = []
    chain = Chain(
        [lambda: ByRecord("one", dict, lambda: closed.append("one")), lambda: Rename(None)],  # type: ignore[arg-type]
        lambda failed: None,
        lambda position, error: DangoError(f"{position} failed"),
    )
    with pytest.raises(DangoError, match="1 failed"):
        chain.begin()
    chain.close()
    assert closed == ["one"]


def test_a_resource_that_is_read_again_begins_anew() -> None:
    run = Run(stream(lambda records: [{"seen": len(list(records))}]), lambda: Mask(["id"]))
    list(run.chain.push(ROWS))
    run.chain.begin()
    assert run(ROWS[:2]) == [{"seen": 2}]
    assert run.counts[0] == (2, 1, 0, 0)


def test_the_payload_of_a_record_that_fails_hides_what_later_processors_would_have_hidden() -> None:
    row = {"id": "x", "mail": "ann@example.com", "phone": "030", "iban": "DE1", "note": "kept"}
    run = Run(
        lambda: Cast({"id": "bigint"}),
        lambda: Rename({"mail": "email"}),
        lambda: Hash({"columns": ["email"], "salt": "pepper"}),
        lambda: Mask("phone"),
        lambda: Drop("iban"),
    )
    assert run([row]) == []
    assert run.failed[0].record == {"id": "x", "email": "***", "phone": "***", "iban": "***", "note": "kept"}
