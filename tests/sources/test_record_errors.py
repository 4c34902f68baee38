"""Records that fail: taken out of the rows, kept, judged, loaded. Real dlt pipelines into real DuckDB files."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest

from dango.errors import TooManyErrors
from dango.failed import Failed, guard
from dango.job import FailedRecord
from dango.secrets import Mask
from dango.sources.record_errors import TABLE, TRIAL_PATIENCE, RecordErrors
from dango.sources.record_text import LONGEST_PAYLOAD, LONGEST_TEXT

RAW = [{"id": 1, "price": "3"}, {"id": 2, "price": "free"}, {"id": 3}, {"id": 4, "price": "5"}]
Extract = Callable[..., list[Any]]


def made(raw: dict[str, Any]) -> dict[str, Any]:
    return {"id": raw["id"], "price": int(raw["price"])}


@pytest.fixture
def records(tmp_path: Path) -> RecordErrors:
    return RecordErrors(tmp_path / "failed.jsonl", "run-1", "shop", Mask(["hunter2!x"]), Path(__file__).parents[2])


@pytest.fixture
def extract(records: RecordErrors) -> Extract:
    """Goes through resources as an extraction does; gives the ids of the good records."""

    def extract(*resources: Any) -> list[Any]:
        source = dlt.source(lambda: list(resources), name="shop")()
        records.watch(source)
        with records:
            return sorted(row["id"] for row in source)

    return extract


def loaded(tmp_path: Path, records: RecordErrors, *resources: Any) -> Callable[[str], list[Any]]:
    """Loads resources into DuckDB, then what of them failed; gives a function that asks the database."""
    file = str(tmp_path / "it.duckdb")
    pipeline = dlt.pipeline(
        "shop", str(tmp_path / "work"), dataset_name="raw", destination=dlt.destinations.duckdb(file)
    )
    source = dlt.source(lambda: list(resources), name="shop")()
    records.watch(source)
    with records:
        pipeline.extract(source)
    pipeline.normalize()
    pipeline.load()
    pipeline.run(records.resource())

    def rows(query: str) -> list[Any]:
        with duckdb.connect(file) as database:
            return database.sql(query).fetchall()

    return rows


def entities(records: RecordErrors) -> list[tuple[str, str]]:
    return sorted((row["resource"], row["entity"]) for row in records.rows())


def test_good_records_load_and_failed_ones_are_in_a_table_beside_them(records: RecordErrors, tmp_path: Path) -> None:
    @dlt.resource(primary_key="id")
    def prices() -> Iterator[Any]:
        yield [{"id": 0, "price": 0}, Failed({"id": 9, "when": dt.date(2024, 1, 2)}, "no price")]
        yield Failed({"id": 8}, ValueError("too old"), "the eighth")
        yield [Failed({"id": 7}, "gone")]
        for raw in RAW:
            with guard(raw):
                yield made(raw)

    before = dt.datetime.now(dt.timezone.utc)
    ask = loaded(tmp_path, records, prices)
    assert ask("SELECT id, price FROM raw.prices ORDER BY id") == [(0, 0), (1, 3), (4, 5)]
    rows = ask(f"SELECT run, resource, entity, message, payload, failed_at FROM raw.{TABLE}")
    assert [row[:4] for row in rows] == [
        ("run-1", "prices", "9", "no price"),
        ("run-1", "prices", "the eighth", "ValueError: too old"),
        ("run-1", "prices", "7", "gone"),
        ("run-1", "prices", "2", "ValueError: invalid literal for int() with base 10: 'free'"),
        ("run-1", "prices", "3", "KeyError: 'price'"),
    ]
    assert [json.loads(row[4]) for row in rows[:2]] == [{"id": 9, "when": "2024-01-02"}, {"id": 8}]
    assert all(before <= row[5] <= dt.datetime.now(dt.timezone.utc) for row in rows)
    assert (records.failed, records.counts["prices"].good) == (5, 3)

    shown = records.sample(4)[3]
    line = made.__code__.co_firstlineno + 1
    assert shown == FailedRecord(
        "prices", "2", rows[3][3], f"tests/sources/test_record_errors.py:{line}", shown.stack_trace
    )
    assert 'int(raw["price"])' in shown.stack_trace
    assert records.sample(1)[0].place.startswith("tests/sources/test_record_errors.py:")


def test_nothing_is_written_where_nothing_fails(records: RecordErrors, tmp_path: Path) -> None:
    ask = loaded(tmp_path, records, dlt.resource([made(RAW[0])], name="prices"))
    assert ask("SELECT id FROM raw.prices") == [(1,)]
    assert (list(records.rows()), records.failed, records.sample()) == ([], 0, ())
    assert not (tmp_path / "failed.jsonl").exists()
    assert records.judge(0, {}) == "ok"
    records.discard()


def test_they_are_found_before_any_other_step_sees_them(extract: Extract, records: RecordErrors) -> None:
    @dlt.resource
    def orders(since: Any = dlt.sources.incremental("at", initial_value=2)) -> Iterator[Any]:
        yield [{"id": n, "at": n} for n in range(5)]
        yield [Failed({"name": "odd"}, "no at"), {"id": 5, "at": 5}]

    orders.add_map(lambda row: {**row, "seen": True}).add_filter(lambda row: row["id"] != 3)
    assert extract(orders) == [2, 4, 5]
    assert entities(records) == [("orders", "odd")]
    assert records.counts["orders"].good == 6


def test_a_function_that_maps_rows_may_give_a_failed_one_in_place_of_a_row(
    extract: Extract, records: RecordErrors
) -> None:
    def priced(raw: dict[str, Any]) -> Any:
        try:
            return made(raw)
        except (KeyError, ValueError) as error:
            return Failed(raw, error)

    @dlt.resource
    def prices(since: Any = dlt.sources.incremental("id", initial_value=0)) -> Iterator[Any]:
        yield RAW[:2]
        yield from RAW[2:]

    assert extract(prices.add_map(priced)) == [1, 4]
    assert entities(records) == [("prices", "2"), ("prices", "3")]
    assert (records.counts["prices"].good, records.counts["prices"].failed) == (2, 2)


def test_transformers_and_the_resources_they_take_from_fail_each_in_its_own_name(
    extract: Extract, records: RecordErrors
) -> None:
    @dlt.resource(selected=False)
    def pages() -> Iterator[Any]:
        yield [1, 2]
        yield [Failed({"key": "p3"}, "no such page")]  # nothing is left of it: no transformer is called

    @dlt.transformer(data_from=pages)
    def orders(page: list[int]) -> Iterator[Any]:
        for number in page:
            with guard({"id": number}):
                yield {"id": 10 // (number - 2)}

    @dlt.transformer(data_from=pages)
    def totals(page: list[int]) -> Any:
        return [{"id": sum(page)}, Failed({"id": "sum"}, "odd")]

    assert extract(orders, totals) == [-10, 3]
    assert entities(records) == [("orders", "2"), ("pages", "p3"), ("totals", "sum")]


def test_a_parent_that_is_no_resource_of_the_source_is_watched_too(extract: Extract, records: RecordErrors) -> None:
    parent = dlt.resource([1, Failed({"id": "x"}, "gone"), 2], name="pages")

    @dlt.transformer(data_from=parent)
    def orders(page: int) -> Iterator[Any]:
        yield {"id": page}

    assert extract(orders) == [1, 2]
    assert entities(records) == [("pages", "x")]


def test_deferred_parallel_and_async_code_may_fail_as_well(extract: Extract, records: RecordErrors) -> None:
    @dlt.resource
    def deferred() -> Iterator[Any]:
        @dlt.defer
        def one(raw: dict[str, Any]) -> Any:
            with guard(raw):
                return made(raw)
            return Failed(raw, "the second time")

        yield from map(one, RAW)

    @dlt.resource(parallelized=True)
    def parallel() -> Iterator[Any]:
        assert threading.current_thread() is not threading.main_thread()
        for raw in RAW:
            with guard(raw):
                yield made(raw)
        yield Failed({"id": 9}, "gone")

    @dlt.resource
    async def awaited() -> AsyncIterator[Any]:
        for raw in RAW:
            await asyncio.sleep(0)
            with guard(raw):
                yield made(raw)

    assert extract(deferred, parallel, awaited) == [1, 1, 1, 4, 4, 4]
    assert entities(records) == [
        *(("awaited", "2"), ("awaited", "3")),
        *(("deferred", "2"), ("deferred", "2"), ("deferred", "3"), ("deferred", "3")),
        *(("parallel", "2"), ("parallel", "3"), ("parallel", "9")),
    ]


def threaded() -> Iterator[Any]:
    rows: list[Any] = []

    def work(raw: dict[str, Any]) -> None:
        with guard(raw):
            rows.append(made(raw))

    threads = [threading.Thread(target=work, args=(raw,)) for raw in RAW]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield rows


def test_what_a_source_s_own_threads_say_is_of_the_only_resource_there_is_or_of_none(
    extract: Extract, records: RecordErrors
) -> None:
    assert extract(dlt.resource(threaded, name="one")) == [1, 4]
    assert entities(records) == [("one", "2"), ("one", "3")]


def test_of_several_resources_a_thread_does_not_tell_which(extract: Extract, records: RecordErrors) -> None:
    assert extract(dlt.resource(threaded, name="one"), dlt.resource([{"id": 1}], name="two")) == [1, 1, 4]
    assert entities(records) == [("", "2"), ("", "3")]
    assert records.judge(None, {"one": 0, "two": 0}) == "partial"
    with pytest.raises(TooManyErrors):
        records.judge(1, {"one": 0, "two": 0})


def test_marked_items_hold_failed_records_too(records: RecordErrors, tmp_path: Path) -> None:
    @dlt.resource
    def events() -> Iterator[Any]:
        yield dlt.mark.with_table_name([{"id": 1}, Failed({"id": "a"}, "x")], "clicks")
        yield dlt.mark.with_table_name(Failed({"id": "b"}, "x"), "views")
        hints = dlt.mark.make_hints(table_name="clicks", columns={"id": {"data_type": "bigint"}})
        yield dlt.mark.with_hints([Failed({"id": "c"}, "x"), {"id": 2}], hints, create_table_variant=True)

    assert loaded(tmp_path, records, events)("SELECT id FROM raw.clicks ORDER BY id") == [(1,), (2,)]
    assert entities(records) == [("events", "a"), ("events", "b"), ("events", "c")]


def test_a_page_without_failed_records_passes_as_it_is(records: RecordErrors, tmp_path: Path) -> None:
    @dlt.resource(columns={"id": {"data_type": "bigint"}})
    def orders() -> Iterator[Any]:
        yield dlt.mark.materialize_table_schema()

    # Of this page's kind alone dlt makes a table without rows.
    assert loaded(tmp_path, records, orders)("SELECT id FROM raw.orders") == []


def test_tables_and_frames_count_their_rows(records: RecordErrors, tmp_path: Path) -> None:
    @dlt.resource
    def orders() -> Iterator[Any]:
        yield pa.table({"id": [1, 2, 3]})
        yield [pa.table({"id": [4, 5]}), Failed({"id": "x"}, "no table")]
        yield pa.RecordBatch.from_pydict({"id": [6]})

    assert loaded(tmp_path, records, orders)("SELECT count(*) FROM raw.orders") == [(6,)]
    assert (records.counts["orders"].good, records.counts["orders"].failed) == (6, 1)


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")


def endless() -> dict[str, Any]:
    record: dict[str, Any] = {"id": 1}
    record["self"] = record
    return record


def test_a_payload_is_json_that_every_database_takes_whatever_the_record_is(
    records: RecordErrors, tmp_path: Path
) -> None:
    given = [
        (
            {"id": 1, "when": dt.date(2024, 1, 2), "raw": b"\xff", "tags": {"x"}, "map": MappingProxyType({"a": 1})},
            {"id": 1, "when": "2024-01-02", "raw": "b'\\xff'", "tags": ["x"], "map": {"a": 1}},
        ),
        ({"n": float("nan"), "i": [float("-inf")], "word": "NaN"}, {"n": "NaN", "i": ["-Infinity"], "word": "NaN"}),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        ({"id": Shy()}, {"id": "<Shy that cannot be shown>"}),
        (Shy(), "<Shy that cannot be shown>"),
        (endless(), "{'id': 1, 'self': {...}}"),
        (None, None),
        ("Müller 🦆", "Müller 🦆"),
        ("nul \x00 half \ud800", "nul \x00 half \ud800"),
    ]

    def orders() -> Iterator[Any]:
        yield {"id": 1}
        for record, _ in given:
            yield Failed(record, "nul \x00 half \ud800", "nul \x00 half \ud800")

    rows = loaded(tmp_path, records, dlt.resource(orders))(f"SELECT payload, entity, message FROM raw.{TABLE}")
    for (record, payload), (text, entity, message) in zip(given, rows, strict=True):
        assert json.loads(text) == payload, type(record)
        assert entity == message == "nul \ufffd half \\ud800"


def test_what_is_huge_is_cut_and_says_so(extract: Extract, records: RecordErrors) -> None:
    def orders() -> Iterator[Any]:
        yield Failed({"id": 1, "body": "ü" * LONGEST_PAYLOAD}, "begins " + "x" * LONGEST_TEXT + " ends")
        yield Failed({"id": 2, "body": "b" * (LONGEST_PAYLOAD - 30)}, "short")
        yield {"id": 1}

    assert extract(dlt.resource(orders)) == [1]
    cut, whole = (json.loads(row["payload"]) for row in records.rows())
    assert cut["cut"] == "only the first 100,000 of 200,021 bytes were kept"
    assert cut["begins"].startswith('{"id": 1, "body": "üü')
    assert len(cut["begins"].encode()) <= LONGEST_PAYLOAD
    assert whole["id"] == 2
    message = records.sample()[0].message
    assert message.startswith("begins x")
    assert message.endswith("x ends")
    assert "… cut …" in message
    assert len(message) < LONGEST_TEXT + 20


def test_no_secret_is_in_anything_that_is_kept(extract: Extract, records: RecordErrors, tmp_path: Path) -> None:
    secret = "hunter2!x"

    def orders() -> Iterator[Any]:
        with guard({"id": f"of {secret}", "login": f"me:{secret}", "url": "https://x/?k=hunter2%21x"}):
            raise ValueError(f"refused: {secret}")
        yield Failed({"id": 1, "pad": "x" * (LONGEST_PAYLOAD - 25), "k": secret}, secret, secret)
        yield {"id": 1}

    assert extract(dlt.resource(orders)) == [1]
    kept = (tmp_path / "failed.jsonl").read_text() + repr(records.sample()) + repr([*records.rows()])
    assert "hunter2" not in kept
    assert [record.entity for record in records.sample()] == ["of ***", "***"]
    assert stat.S_IMODE((tmp_path / "failed.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("hints", "record", "entity"),
    [
        ({"primary_key": "code"}, {"id": 1, "code": "c"}, "c"),
        ({"primary_key": ["a", "b"]}, {"a": 1, "b": "x"}, "1, x"),
        ({"primary_key": ["a", "b"]}, {"a": 1, "name": "n"}, "n"),
        ({"columns": {"code": {"primary_key": True}}}, {"code": 0, "id": 1}, "0"),
        ({"primary_key": lambda row: "code", "table_name": lambda row: "x"}, {"id": 1, "code": "c"}, "1"),
        ({"table_name": lambda row: row["kind"]}, {"name": "n", "key": "k"}, "n"),
        ({}, {"id": None, "key": "k"}, "k"),
        ({}, {"other": 1}, ""),
        ({}, "text", ""),
    ],
)
def test_an_entity_is_read_from_the_record_s_key_or_from_what_usually_is_a_name(
    extract: Extract, records: RecordErrors, hints: dict[str, Any], record: Any, entity: str
) -> None:
    extract(dlt.resource([Failed(record, "x")], name="orders", **hints))
    assert entities(records) == [("orders", entity)]


def test_the_errors_are_there_also_when_the_source_fails_later(extract: Extract, records: RecordErrors) -> None:
    def orders() -> Iterator[Any]:
        with guard({"id": 1}):
            raise ValueError("the record")
        yield {"id": 2}
        raise ConnectionError("the source")

    with pytest.raises(Exception, match="the source"):
        extract(dlt.resource(orders))
    assert entities(records) == [("orders", "1")]
    with pytest.raises(ValueError, match="nobody"), guard({}):
        raise ValueError("nobody collects")


def test_an_extraction_that_is_tried_again_counts_anew(extract: Extract, records: RecordErrors) -> None:
    for _ in range(2):
        extract(dlt.resource([{"id": 1}, Failed({"id": 2}, "x")], name="orders"))
        assert (records.failed, records.counts["orders"].good, len(records.sample())) == (1, 1, 1)
        assert entities(records) == [("orders", "2")]
    records.discard()
    assert entities(records) == []


def test_what_is_read_again_because_another_resource_failed_is_told_once(records: RecordErrors) -> None:
    @dlt.resource
    def pages() -> Iterator[Any]:
        yield from [1, Failed({"id": "page"}, "x"), 2]

    @dlt.transformer(data_from=pages)
    def orders(page: int) -> Iterator[Any]:
        yield [{"id": page}, Failed({"id": f"order {page}"}, "x")]

    @dlt.transformer(data_from=pages)
    def totals(page: int) -> Iterator[Any]:
        yield Failed({"id": f"total {page}"}, "x")
        if page == 2:
            raise ValueError("no total")

    source = dlt.source(lambda: [pages, orders, totals], name="shop")()
    records.watch(source)
    with records:
        with pytest.raises(Exception, match="no total"):
            list(source.with_resources("orders", "totals"))
        records.begin_anew(without="totals")
        for name in ("orders", "pages"):
            list(source.with_resources(name))
            records.settle()
    expected = [("orders", "order 1"), ("orders", "order 2"), ("pages", "page"), ("totals", "total 1")]
    assert entities(records) == [*expected, ("totals", "total 2")]
    assert {name: (count.good, count.failed) for name, count in records.counts.items()} == {
        "pages": (2, 1), "orders": (2, 2), "totals": (0, 2),
    }  # fmt: skip
    assert sorted((record.resource, record.entity) for record in records.sample()) == entities(records)


def test_what_a_killed_run_left_is_read_up_to_where_it_was_cut_off(records: RecordErrors, tmp_path: Path) -> None:
    with records, guard({"id": 1}):
        raise ValueError("x")
    whole = (tmp_path / "failed.jsonl").read_text()
    (tmp_path / "failed.jsonl").write_text(whole + whole[: len(whole) // 2])

    later = RecordErrors(tmp_path / "failed.jsonl", "run-2", "shop", str)
    assert later.left
    assert [(row["run"], row["entity"]) for row in later.rows()] == [("run-1", "1")]
    with later:
        pass
    assert not later.left


def test_of_a_thousand_failed_records_a_result_carries_twenty(extract: Extract, records: RecordErrors) -> None:
    extract(dlt.resource([{"id": 1}, *(Failed({"id": n}, "x") for n in range(1000))], name="orders"))
    assert (records.failed, len(records.sample()), len(entities(records))) == (1000, 20, 1000)


def failing(tmp_path: Path, **counts: tuple[int, int]) -> RecordErrors:
    """Good and failed records by resource."""
    records = RecordErrors(tmp_path / "failed.jsonl", "run-1", "shop", str)
    resources = [
        dlt.resource([*({"id": n} for n in range(good)), *(Failed({"id": n}, "x") for n in range(bad))], name=name)
        for name, (good, bad) in counts.items()
    ]
    source = dlt.source(lambda: resources, name="shop")()
    records.watch(source)
    with records:
        assert sum(1 for _ in source) == sum(good for good, _ in counts.values())
    return records


@pytest.mark.parametrize(
    ("limit", "limits", "said"),
    [
        (None, {}, "partial"),
        (6, {}, "ok"),
        (5, {}, "6 of 1,012 records of `shop` failed, max_errors allows 5"),
        (0, {}, "6 of 1,012 records of `shop` failed, max_errors allows none"),
        ("1%", {}, "ok"),
        ("0.5%", {}, "6 of 1,012 records of `shop` failed, max_errors allows 0.5%"),
        ("0%", {}, "6 of 1,012 records of `shop` failed, max_errors allows 0%"),
        (None, {"users": 2}, "partial"),  # nothing is said of orders
        (None, {"users": 1}, "2 of 8 records of `users` failed, max_errors allows 1"),
        (None, {"users": "25%", "orders": 4}, "ok"),
        (None, {"users": "24.9%"}, "2 of 8 records of `users` failed, max_errors allows 24.9%"),
        (0, {"users": 2, "orders": 4}, "ok"),  # the resource's own counts, as everywhere in sources.yml
        (3, {"users": 2}, "4 of 1,004 records of `shop` failed, max_errors allows 3"),
        (100, {"users": 1}, "2 of 8 records of `users` failed, max_errors allows 1"),
        (100, {"users": None, "gone": 0}, "ok"),
    ],
)
def test_max_errors_decides(tmp_path: Path, limit: Any, limits: dict[str, Any], said: str) -> None:
    records = failing(tmp_path, orders=(1000, 4), users=(6, 2), fine=(0, 0))
    if said in ("ok", "partial"):
        assert records.judge(limit, limits) == said
        return
    with pytest.raises(TooManyErrors) as raised:
        records.judge(limit, limits)
    error = raised.value
    assert (str(error), error.exit_code) == (said, 1)
    assert error.hint == f"each of them is in the table {TABLE}, run 'run-1'; the first: dango history run-1"
    assert error.loc == (("resources", "users", "max_errors") if "users" in said else ("max_errors",))


def test_where_every_record_failed_the_share_is_whole(tmp_path: Path) -> None:
    records = failing(tmp_path, orders=(0, 1))
    assert records.judge("100%", {}) == "ok"
    with pytest.raises(TooManyErrors, match="1 of 1 records"):
        records.judge("99.9%", {})


@pytest.mark.parametrize("way", ["yielded", "guarded"])
def test_a_trial_in_which_nothing_succeeds_does_not_go_through_the_whole_source(tmp_path: Path, way: str) -> None:
    seen = []

    def orders() -> Iterator[Any]:
        for number in range(1_000_000):
            seen.append(number)
            if way == "yielded":
                yield Failed({"id": number}, "x")
            with guard({"id": number}):
                raise ValueError("x")

    records = RecordErrors(tmp_path / "failed.jsonl", "run-1", "shop", str, limit=5)
    source = dlt.source(lambda: dlt.resource(orders), name="shop")()
    records.watch(source)
    with pytest.raises(Exception, match="the trial ends here") as raised, records:
        list(source)
    cause: BaseException | None = raised.value
    while cause is not None and not isinstance(cause, TooManyErrors):
        cause = cause.__cause__
    assert isinstance(cause, TooManyErrors)
    assert len(seen) <= TRIAL_PATIENCE
    assert records.failed == TRIAL_PATIENCE
