"""Large files are read where they are, once, by what loads them; and as before where that turns out wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
from pyarrow import parquet

from dango.external import External, Mistaken, read, write
from tests.conftest import Said
from tests.fixtures_postgres import Postgres
from tests.killed import killed

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Ask = Callable[[str], list[Any]]

ROWS = 400_000
CSV = "id,name,day\n" + "".join(f"{n},customer {n % 1000},2024-01-{n % 28 + 1:02}\n" for n in range(ROWS))
SUMMARY = "SELECT count(*), count(DISTINCT id), sum(id), min(_file), count(DISTINCT _dlt_load_id) FROM raw_shop.orders"
WHOLE = (ROWS, ROWS, ROWS * (ROWS - 1) // 2, "data/in/a.csv", 1)


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def ask(request: pytest.FixtureRequest, write: Write, rows: Ask) -> Ask:
    """Asks the destination of the project, a different one each time, whose one source reads `data/in`."""
    block = json.dumps({"location": "data/in", "table": "orders"})
    source = f"sources:\n  - {{name: shop, type: files, files: {block}}}\n"
    if request.param == "duckdb":
        write({"sources": f"version: 1\n{source}", "data/in/a.csv": CSV})
        return rows
    server: Postgres = request.getfixturevalue("postgres")
    lake = "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\n"
    write(
        {
            "sources": lake + source,
            "data/in/a.csv": CSV,
            ".dlt/secrets.toml": f"destination.lake.credentials = '{server.url}'\n",
        }
    )

    def asked(query: str) -> list[Any]:
        with psycopg2.connect(server.url) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    return asked


def counted(said: Said) -> int:
    """How many rows a sync says that it loaded."""
    assert said.code == 0, said.err
    (result,) = said.json["results"]
    return sum(table["rows"] for table in result["tables"])


def later(path: Path, text: str) -> None:
    """Writes a file anew, at a later time."""
    before = path.stat().st_mtime_ns
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.mark.slow
def test_a_large_file_is_loaded_changed_and_loaded_anew_and_every_row_is_there_once(
    root: Path, dango: Dango, ask: Ask
) -> None:
    assert counted(dango("sync", "--json")) == ROWS
    assert ask(SUMMARY) == [WHOLE]
    assert ask("SELECT name, CAST(day AS text) FROM raw_shop.orders WHERE id = 12345") == [
        ("customer 345", "2024-01-26")
    ]
    assert not any((root / ".dango").rglob("*.parquet"))
    assert counted(dango("sync", "--json")) == 0
    later(root / "data/in/a.csv", CSV.replace("customer 7,", "patron 7,"))
    assert counted(dango("sync", "--json")) == ROWS
    assert ask(SUMMARY) == [WHOLE]
    assert ask("SELECT count(*) FROM raw_shop.orders WHERE name = 'patron 7'") == [(ROWS // 1000,)]
    assert counted(dango("sync", "--full-refresh", "--json")) == ROWS
    assert ask(SUMMARY) == [WHOLE]


@pytest.mark.slow
def test_a_row_that_is_not_like_the_first_ones_gives_the_load_up_and_nothing_is_lost(
    root: Path, dango: Dango, ask: Ask
) -> None:
    (root / "data/in/a.csv").write_text(CSV + "x1,late,2024-01-01\n", encoding="utf-8")
    said = dango("-v", "sync")
    assert said.code == 0
    assert "the files are read again" in said.err
    assert ask("SELECT count(*), max(id) FROM raw_shop.orders") == [(ROWS + 1, "x1")]
    assert not any((root / ".dango").rglob("*.aside-*"))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["changed", "gone", "the same"])
def test_what_a_killed_sync_referred_to_is_loaded_as_it_is_by_then(
    root: Path, dango: Dango, ask: Ask, tmp_path: Path, what: str
) -> None:
    killed(root, tmp_path / "killed", "dango.load.loading:load", "sync")
    file = root / "data/in/a.csv"
    if what == "changed":
        later(file, "id,name,day\n1,one,2024-01-01\n")
    elif what == "gone":
        file.rename(root / "data/in/b.csv")
    assert dango("sync").code == 0
    expected = {
        "changed": (1, 1, 1, "data/in/a.csv", 1),
        "gone": (*WHOLE[:3], "data/in/b.csv", 1),
        "the same": WHOLE,
    }
    assert ask(SUMMARY) == [expected[what]]


@pytest.mark.slow
def test_a_source_that_may_not_give_the_same_again_keeps_what_it_read(
    root: Path, write: Write, dango: Dango, rows: Ask
) -> None:
    write(
        {
            "sources": "version: 1\nsources:\n  - {name: shop, type: dlt_native,"
            " dlt_native: {source_module: mixed, source_function: mixed}}\n",
            "custom_sources/mixed.py": "import dlt\nfrom dango.connectors.files import files\n\n\n@dlt.source\n"
            "def mixed():\n    return files('data/in', table='orders'), dlt.resource([{'id': 1}], name='queue')\n",
            "data/in/a.csv": CSV + "x1,late,2024-01-01\n",
        }
    )
    said = dango("-v", "sync")
    assert said.code == 0
    assert "the files are read again" not in said.err
    assert rows("SELECT count(*), max(id) FROM raw_shop.orders") == [(ROWS + 1, "x1")]


def test_what_stands_for_a_file_says_when_that_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")
    stat = file.stat()
    external = External(str(file), stat.st_size, stat.st_mtime_ns, "SELECT 1 AS id")
    write(tmp_path / "a.parquet", pa.schema([pa.field("id", pa.int64(), nullable=False)]), external)
    assert read(tmp_path / "a.parquet") == external
    external.require_unchanged()
    later(file, "id\n2\n")
    with pytest.raises(Mistaken, match="has changed since"):
        external.require_unchanged()
    file.unlink()
    with pytest.raises(Mistaken, match="cannot be read any more: No such file"):
        external.require_unchanged()
    parquet.write_table(pa.table({"id": [1]}), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet") is None
