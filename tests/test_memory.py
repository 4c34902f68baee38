"""Memory stays flat as rows become more; a thousand resources and documents of 200 MB come through, or are told of."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bench.measure import Command, Sample, run
from tests.conftest import Said, native, sources
from tests.connectors.vendor import vendor

Dango = Callable[..., Said]
Query = Callable[[str], list[Any]]
Write = Callable[..., None]

GIB = 2**30
FLAT = 1.3
"""Ten times the rows may take so many times the memory."""

SHOP = """\
import dlt


@dlt.resource
def dicts(rows):
    for start in range(0, rows, 1000):
        yield [{"id": n, "name": f"customer {n % 1000}", "amount": n / 4} for n in range(start, start + 1000)]


@dlt.resource
def arrow(rows):
    import pyarrow as pa

    for start in range(0, rows, 10_000):
        some = range(start, start + 10_000)
        names = [f"customer {n % 1000}" for n in some]
        yield pa.table({"id": some, "name": names, "amount": [n / 4 for n in some]})


@dlt.source
def many(count):
    import pyarrow as pa

    for n in range(0, count, 2):
        yield dlt.resource([{"id": id, "name": f"{n}-{id}"} for id in range(3)], name=f"dicts_{n:03}")
        yield dlt.resource([pa.table({"id": [0, 1, 2]})], name=f"arrow_{n:03}")


@dlt.resource
def text():
    yield {"id": 1, "text": "x" * 200_000_000}


@dlt.resource
def children():
    yield {"id": 1, "items": [{"n": n, "name": f"item {n}"} for n in range(2_000_000)]}
"""


def synced(root: Path) -> Sample:
    """What a sync of the project takes."""
    return run(Command((sys.executable, "-m", "dango", "sync"), root))[0]


# --- more rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["dicts", "arrow"])
@pytest.mark.parametrize(
    "count",
    [pytest.param(200_000, marks=pytest.mark.slow), pytest.param(500_000, marks=[pytest.mark.slow, pytest.mark.long])],
)
def test_ten_times_the_rows_take_hardly_more_memory(
    function: str, count: int, root: Path, write: Write, rows: Query, record_property: Callable[[str, object], None]
) -> None:
    taken = []
    for name, number in (("few", count), ("all", 10 * count)):
        block = native(name, function, function_kwargs={"rows": number})
        write({"sources": sources(block), "custom_sources/shop.py": SHOP})
        taken.append(synced(root))
        assert rows(f"SELECT count(*), sum(id) FROM raw_{name}.{function}") == [(number, number * (number - 1) // 2)]
        (root / "data" / "warehouse.duckdb").unlink()
    few, many = taken
    record_property(
        "figure",
        f"{10 * count:,} rows ({function}): {many['tree'] / 2**20:.0f} MiB, {many['tree'] / few['tree']:.2f} times"
        f" that of a tenth; the largest process {many['rss'] / few['rss']:.2f} times",
    )
    assert many["tree"] <= FLAT * few["tree"]


@pytest.mark.slow
def test_ten_times_the_rows_of_a_file_take_hardly_more_memory(root: Path, write: Write, rows: Query) -> None:
    taken = []
    for name, number in (("few", 300_000), ("all", 3_000_000)):
        values = ", ".join(f"random() AS v{n}" for n in range(12))
        duckdb.sql(f"COPY (SELECT {values} FROM range({number})) TO '{root / name}.parquet' (COMPRESSION uncompressed)")
        block = f"{{name: {name}, type: files, files: {{location: {name}.parquet}}}}"
        write({"sources": f"version: 1\nsources:\n  - {block}\n"})
        taken.append(synced(root))
        assert rows(f"SELECT count(*), count(v0) FROM raw_{name}.files") == [(number, number)]
        (root / "data" / "warehouse.duckdb").unlink()
    few, many = taken
    assert many["tree"] <= FLAT * few["tree"]


# --- many resources -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_thousand_resources_of_one_source_are_loaded_within_bounds(root: Path, write: Write, rows: Query) -> None:
    block = native("shop", "many", function_kwargs={"count": 1000})
    write({"sources": sources(block, native("other", "dicts", function_kwargs={"rows": 1000}))})
    write({"custom_sources/shop.py": SHOP})
    taken, said = run(Command((sys.executable, "-m", "dango", "sync", "--jobs", "2"), root))
    loaded = rows("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw_shop' AND table_name NOT LIKE '_dlt%'")
    assert loaded == [(1000,)]
    assert rows("SELECT count(*) FROM raw_shop.arrow_998") == rows("SELECT count(*) FROM raw_shop.dicts_998") == [(3,)]
    assert taken["rss"] < GIB / 2 and taken["cpu"] < 120
    assert len(said.splitlines()) < 100 and max(map(len, said.splitlines())) <= 80
    assert "950 tables more" in said


# --- documents of 200 MB ------------------------------------------------------------------------------


def limited(root: Path, memory: int) -> subprocess.CompletedProcess[str]:
    """A sync whose processes may have so many bytes each."""
    return subprocess.run(
        [sys.executable, "-m", "dango", "sync"], cwd=root, capture_output=True, text=True, timeout=600, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory, memory)),
    )  # fmt: skip


def files(location: str) -> str:
    """A source `large` that is a file."""
    return sources(f"  - {{name: large, type: files, files: {{location: {location}, table: loaded}}}}\n")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("lines", [False, True], ids=["a JSON document", "a line of JSON Lines"])
def test_a_file_with_a_document_of_200_megabytes_is_loaded(lines: bool, root: Path, write: Write, rows: Query) -> None:
    document = json.dumps({"id": 1, "text": "x" * 200_000_000})
    write({"sources": files("large.jsonl" if lines else "large.json")})
    write({"large.jsonl" if lines else "large.json": f'{{"id": 0}}\n{document}\n' if lines else document})
    assert synced(root)["rss"] < 3 * GIB
    assert rows("SELECT max(id), max(length(text)), count(*) FROM raw_large.loaded") == [(1, 200_000_000, 1 + lines)]


@pytest.mark.slow
def test_a_text_of_200_megabytes_is_loaded(root: Path, write: Write, rows: Query) -> None:
    write({"sources": sources(native("large", "text")), "custom_sources/shop.py": SHOP})
    assert synced(root)["rss"] < 3 * GIB
    assert rows("SELECT id, length(text) FROM raw_large.text") == [(1, 200_000_000)]


@pytest.mark.slow
@pytest.mark.long
def test_a_document_with_two_million_children_is_loaded(root: Path, write: Write, rows: Query) -> None:
    write({"sources": sources(native("large", "children")), "custom_sources/shop.py": SHOP})
    assert synced(root)["rss"] < 3 * GIB
    assert rows("SELECT count(*), sum(n) FROM raw_large.children__items") == [(2_000_000, 1_999_999_000_000)]


@pytest.mark.slow
@pytest.mark.long
def test_an_answer_of_200_megabytes_is_loaded(root: Path, write: Write, rows: Query) -> None:
    with vendor(lambda asked: [{"id": 1, "text": "x" * 200_000_000}]) as server:
        write({"sources": sources(
            f"  - {{name: large, type: rest_api, rest_api: {{base_url: {server.url}, path: texts}}}}\n"
        )})  # fmt: skip
        assert synced(root)["rss"] < 3 * GIB
    assert rows("SELECT id, length(text) FROM raw_large.texts") == [(1, 200_000_000)]


@pytest.mark.slow
@pytest.mark.parametrize("function", ["text", "children"])
def test_where_memory_does_not_suffice_for_a_document_it_is_told_and_nothing_loaded(
    function: str, root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("large", function)), "custom_sources/shop.py": SHOP})
    done = limited(root, GIB * 3 // 4)
    assert done.returncode == 1
    assert "there is not enough memory" in done.stderr and "make pages smaller" in done.stderr
    assert "Traceback" not in done.stderr and "large: failed, 0 rows" in done.stderr
    assert dango("tables", "--json").json["tables"] == []
