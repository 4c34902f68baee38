"""Merges into tables that are empty, and into tables that are not: the rows are what plain Python says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.job_client_impl import SqlJobClientBase

from dango.dlt_internals import packages
from dango.load import loading
from dango.load.merging import economically
from tests.conftest import Said, native, sources
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Row = dict[str, Any]

SHOP = """
import json
import dlt

def given(name):
    with open("given.json") as file:
        return json.load(file).get(name, [])

MERGED = {
    "keyed": {"primary_key": "id"},
    "two_keys": {"primary_key": ("id", "part")},
    "upserted": {"primary_key": "id", "write_disposition": {"disposition": "merge", "strategy": "upsert"}},
    "by_day": {"merge_key": "day"},
    "of_decimals": {"primary_key": "id", "columns": {"id": {"data_type": "decimal", "precision": 12, "scale": 2}}},
    "nested": {"primary_key": "id"},
    "marked": {"primary_key": "id", "columns": {"gone": {"hard_delete": True, "data_type": "bool"}}},
    "newest": {"primary_key": "id", "columns": {"pos": {"dedup_sort": "desc", "data_type": "bigint"}}},
}

@dlt.source
def shop():
    for name, hints in MERGED.items():
        yield dlt.resource(given, name=name, **{"write_disposition": "merge", **hints})(name)
"""

ROUNDS: list[dict[str, list[Row]]] = [
    {
        "keyed": [{"id": n, "v": "first"} for n in range(5)],
        "two_keys": [{"id": n, "part": p, "v": 0} for n in range(3) for p in "ab"],
        "upserted": [{"id": n, "v": "first"} for n in range(3)],
        "by_day": [{"day": d, "v": n} for d in ("mon", "tue") for n in range(2)],
        "of_decimals": [{"id": "1.50", "v": 1}, {"id": "2.00", "v": 1}],
        "nested": [{"id": n, "lines": [{"sku": f"{n}-{k}"} for k in range(2)]} for n in range(3)],
        "marked": [{"id": 1, "v": 1, "gone": False}, {"id": 2, "v": 1, "gone": True}],
        "newest": [{"id": 1, "pos": 5, "v": "new"}, {"id": 1, "pos": 4, "v": "old"}],
    },
    {
        "keyed": [{"id": 4, "v": "second", "more": 1}, {"id": 5, "v": "second"}],
        "two_keys": [{"id": 2, "part": "b", "v": 1}],
        "upserted": [{"id": 2, "v": "second"}, {"id": 3, "v": "second"}],
        "by_day": [{"day": "tue", "v": 7}, {"day": "wed", "v": 8}, {"day": "wed", "v": 8}],
        "of_decimals": [{"id": "2.00", "v": 2}, {"id": "3.00", "v": 2}],
        "nested": [{"id": 1, "lines": [{"sku": "only"}]}, {"id": 2, "lines": []}, {"id": 3, "lines": [{"sku": "new"}]}],
        "marked": [{"id": 1, "v": 2, "gone": True}, {"id": 3, "v": 2, "gone": False}],
        "newest": [{"id": 2, "pos": 1, "v": "a"}, {"id": 2, "pos": 9, "v": "b"}, {"id": 1, "pos": 6, "v": "newer"}],
    },
    # Nothing of most of them, and of one only what is there already.
    {"keyed": [{"id": 0, "v": "third"}], "nested": [{"id": 0}]},
]
DUPLICATES: dict[str, list[Row]] = {
    "keyed": [{"id": 1, "v": "same"}, {"id": 1, "v": "same"}, {"id": 2, "v": "one"}],
    "nested": [{"id": 1, "lines": [{"sku": "x"}]}, {"id": 1, "lines": [{"sku": "x"}]}],
    "by_day": [{"day": "mon", "v": 1}, {"day": "mon", "v": 1}],
}


def truth(rounds: list[dict[str, list[Row]]], name: str, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a table after all rounds."""
    key = {"by_day": ("day",), "two_keys": ("id", "part")}.get(name, ("id",))
    held: dict[tuple[Any, ...], list[Row]] = {}
    for given in rounds:
        fresh: dict[tuple[Any, ...], list[Row]] = {}
        for row in sorted(given.get(name, []), key=lambda row: row.get("pos", 0)):
            at = tuple(row[part] for part in key)
            fresh[at] = [*fresh.get(at, []), row] if name == "by_day" else [row]
        held |= fresh
    rows = [row for rows in held.values() for row in rows if not row.get("gone")]
    return sorted(tuple(str(row[c]) if row.get(c) is not None else "" for c in columns) for row in rows)


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def ask(request: pytest.FixtureRequest, write: Write, rows: Callable[[str], list[Any]]) -> Callable[[str], list[Any]]:
    """A project that loads into one of the two, and how that is asked."""
    if request.param == "duckdb":
        write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
        return rows
    server: Postgres = request.getfixturevalue("postgres")
    lake = "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n"
    write(
        {
            "sources": lake + native("shop", "shop"),
            "custom_sources/shop.py": SHOP,
            ".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{server.url}"\n',
        }
    )

    def asked(query: str) -> list[Any]:
        with server.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    return asked


def table(ask: Callable[[str], list[Any]], name: str, *columns: str) -> list[tuple[Any, ...]]:
    found = ask(f"SELECT {', '.join(columns)} FROM raw_shop.{name}")
    return sorted(tuple("" if value is None else str(value) for value in row) for row in found)


def lines(ask: Callable[[str], list[Any]]) -> list[tuple[Any, ...]]:
    query = (
        "SELECT p.id, c.sku, c._dlt_list_idx FROM raw_shop.nested__lines AS c"
        " LEFT JOIN raw_shop.nested AS p ON p._dlt_id = c._dlt_parent_id ORDER BY 1, 2"
    )
    return [tuple(row) for row in ask(query)]


def require(ask: Callable[[str], list[Any]], rounds: list[dict[str, list[Row]]]) -> None:
    for name, columns in {
        "keyed": ("id", "v"), "two_keys": ("id", "part", "v"), "upserted": ("id", "v"), "by_day": ("day", "v"),
        "of_decimals": ("id", "v"), "nested": ("id",), "marked": ("id", "v"), "newest": ("id", "pos", "v"),
    }.items():  # fmt: skip
        if any(given.get(name) for given in rounds):
            assert table(ask, name, *columns) == truth(rounds, name, *columns), name
    newest = {row["id"]: row for given in rounds for row in given.get("nested", [])}
    wanted = [(n, line["sku"], k) for n, row in newest.items() for k, line in enumerate(row.get("lines", []))]
    assert lines(ask) == sorted(wanted)


def put(root: Path, given: dict[str, list[Row]]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def test_rows_that_meet_nothing_and_rows_that_do(root: Path, dango: Dango, ask: Callable[[str], list[Any]]) -> None:
    for number, given in enumerate(ROUNDS, 1):
        put(root, given)
        assert dango("sync").code == 0
        require(ask, ROUNDS[:number])
    (left,) = ask("SELECT count(*) FROM information_schema.views WHERE table_schema LIKE '%staging'")
    assert left == (0,)
    put(root, ROUNDS[0])
    assert dango("sync", "--full-refresh").code == 0
    require(ask, ROUNDS[:1])


def test_a_key_that_comes_twice_stays_one_also_where_nothing_was(
    root: Path, dango: Dango, ask: Callable[[str], list[Any]]
) -> None:
    put(root, DUPLICATES)
    assert dango("sync").code == 0
    require(ask, [DUPLICATES])


@pytest.mark.postgres
@pytest.mark.parametrize("ask", ["postgres"], indirect=True)
def test_what_a_merge_looks_up_is_indexed_once(root: Path, dango: Dango, ask: Callable[[str], list[Any]]) -> None:
    def indexes() -> list[tuple[str, str]]:
        named = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'raw_shop' AND indexname LIKE 'dango%'"
        return sorted((name, text[text.index("(") :]) for name, text in ask(named))

    put(root, ROUNDS[0])
    assert dango("sync").code == 0
    first = indexes()
    assert ("two_keys", "(id, part)") in first
    assert not any(table == "by_day" for table, _ in first)
    assert ("nested__lines", "(_dlt_root_id)") in first
    ask(
        "DROP INDEX raw_shop."
        + ask("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%two_keys%(id, part)'")[0][0]
        + "; SELECT 1"
    )
    ask("CREATE INDEX mine ON raw_shop.two_keys (part, id, v); SELECT 1")
    put(root, ROUNDS[1])
    assert dango("sync").code == 0
    assert indexes() == [index for index in first if index[0] != "two_keys"]


@pytest.mark.postgres
@pytest.mark.parametrize("ask", ["postgres"], indirect=True)
@pytest.mark.slow
def test_a_table_of_millions_of_rows_is_not_counted_after_each_sync(
    root: Path, dango: Dango, ask: Callable[[str], list[Any]]
) -> None:
    def totals() -> dict[str, int | None]:
        said = dango("sync", "--json")
        assert said.code == 0, said.err
        return {table["name"]: table["total"] for table in said.json["results"][0]["tables"]}

    put(root, ROUNDS[0])
    first = totals()
    assert isinstance(first["two_keys"], int)
    ask("UPDATE pg_class SET reltuples = 2e6 WHERE relname = 'two_keys' AND relkind = 'r'; SELECT 1")
    put(root, ROUNDS[1])
    assert totals()["two_keys"] is None
    assert dango("sync").code == 0


CRAMPED = """
import dlt
import pyarrow as pa
import dango.load.merging

dango.load.merging._MEMORY_PER_THREAD = 2

@dlt.resource(write_disposition="merge", primary_key="id")
def rows():
    yield pa.table({"id": range(400_000), "text": [f"{number:0100d}" for number in range(400_000)]})
"""


def test_where_little_memory_is_too_little_the_load_is_tried_with_all(
    write: Write, dango: Dango, rows: Callable[[str], list[Any]]
) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": CRAMPED})
    for _ in range(2):
        assert dango("sync").code == 0
        assert rows("SELECT count(*), count(DISTINCT id), max(text) FROM raw_shop.rows") == [
            (400_000, 400_000, f"{399_999:0100d}")
        ]


@pytest.mark.parametrize(("own", "kept"), [({}, True), ({"memory_limit": "300MiB"}, False)])
def test_a_load_keeps_the_memory_that_it_may_use_where_nobody_else_says_how_much(
    tmp_path: Path, own: dict[str, Any], kept: bool
) -> None:
    credentials = DuckDbCredentials({"database": str(tmp_path / "w.duckdb")})
    credentials.global_config = own
    pipeline = dlt.pipeline(
        "few", pipelines_dir=str(tmp_path), destination=dlt.destinations.duckdb(credentials), dataset_name="few"
    )
    pipeline.run([{"id": 1}], table_name="few")
    settings = "SELECT current_setting('memory_limit'), current_setting('block_allocator_memory')"
    with pipeline.destination_client() as client:
        assert isinstance(client, SqlJobClientBase)
        economically(client, (), little_memory=False)
        ((_, block),) = client.sql_client.execute_sql(settings) or ()
        assert block == "0 bytes"
        economically(client, (), little_memory=True)
        ((limit, block),) = client.sql_client.execute_sql(settings) or ()
    assert block == (limit if kept else "0 bytes")


def test_what_a_load_commits_is_written_once_and_not_to_the_log_first(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    pipeline = dlt.pipeline(
        "few", pipelines_dir=str(tmp_path), destination=dlt.destinations.duckdb(str(file)), dataset_name="few"
    )
    pipeline.extract([{"id": number} for number in range(1000)], table_name="few", loader_file_format="parquet")
    pipeline.normalize()
    seen = []

    def look(sql: Any, done: Any) -> None:
        log = file.with_suffix(".duckdb.wal")
        seen.append((sql.execute_sql("SELECT count(*) FROM few.few"), log.stat().st_size if log.exists() else 0))

    loading.load(pipeline, packages.waiting(pipeline), lambda *_: None, look)
    assert seen == [([(1000,)], 0)]


def test_rows_without_ids_get_them_when_rows_are_nested_in_theirs(
    root: Path, write: Write, dango: Dango, ask: Callable[[str], list[Any]]
) -> None:
    head, _, _ = (root / ".dango/sources.yml").read_text().partition("sources:\n")
    write(
        {"sources": f"{head}sources:\n  - {{name: shop, type: files, files: {{location: '*.jsonl', table: flat}}}}\n"}
    )

    def flat(name: str, *documents: Row) -> None:
        (root / f"{name}.jsonl").write_text("".join(f"{json.dumps(document)}\n" for document in documents))
        assert dango("sync").code == 0

    flat("a", {"id": 1}, {"id": 2})
    columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'flat' AND column_name = '_dlt_id'"
    assert ask(columns)[0] == (0,), "nothing needs them yet"
    flat("b", {"id": 3})
    flat("a", {"id": 1, "lines": [{"sku": "x"}, {"sku": "y"}]}, {"id": 2})
    query = (
        "SELECT p.id, c.sku FROM raw_shop.flat AS p LEFT JOIN raw_shop.flat__lines AS c"
        " ON p._dlt_id = c._dlt_parent_id ORDER BY 1, 2"
    )
    assert [tuple(row) for row in ask(query)] == [(1, "x"), (1, "y"), (2, None), (3, None)]
    flat("b", {"id": 3, "lines": [{"sku": "z"}]}, {"id": 4})
    flat("a", {"id": 1})
    assert [tuple(row) for row in ask(query)] == [(1, None), (3, "z"), (4, None)]
    assert ask("SELECT count(*), count(DISTINCT _dlt_id) FROM raw_shop.flat")[0] == (3, 3)
    assert ask("SELECT count(*) FROM raw_shop.flat__lines")[0] == (1,)
