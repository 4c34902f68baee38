"""A destination that is gone in the middle of a load, and comes back: it is named, and each row is there once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import native, one_of, sources
from tests.faults import table
from tests.faults.held import held
from tests.faults.points import Fault
from tests.faults.running import ended, into_postgres, start
from tests.postgres_server import QUICK, cluster, crash, programs

pytestmark = pytest.mark.slow

SHOP = """\
import os

import dlt

LAST = 3 * int(os.environ["BATCH"])

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield [{"id": n, "items": [{"n": n}]} for n in range(1, LAST + 1)]

    @dlt.resource(primary_key="id", write_disposition="merge")
    def customers(batch=dlt.sources.incremental("batch", initial_value=0)):
        yield [{"id": n, "batch": LAST} for n in (1, 2)]

    return events, customers
"""
QUERY = """
SELECT e.id, i.n, (SELECT min(batch) FROM raw_shop.customers) FROM raw_shop.events AS e
    LEFT JOIN raw_shop.events__items AS i ON i._dlt_parent_id = e._dlt_id ORDER BY 1, 2
"""
COPYING = Fault("dango.load.loading:_copy", "before", 2)


def all_of(batch: int) -> list[tuple[int, int, int]]:
    """What is loaded after a batch."""
    return [(n, n, 3 * batch) for n in range(1, 3 * batch + 1)]


@pytest.mark.postgres
def test_a_postgresql_that_stops_in_the_middle_of_a_load_is_named_and_the_next_sync_heals(
    root: Path, write: Callable[..., None], tmp_path: Path
) -> None:
    found = programs()
    if found is None:
        pytest.fail("no PostgreSQL here") if os.environ.get("CI") else pytest.skip("no PostgreSQL here")
    write({"sources": into_postgres(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    with cluster(found, {**QUICK, "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}) as server:

        def loaded() -> list[Any]:
            with server.cursor() as cursor:
                cursor.execute(QUERY)
                return cursor.fetchall()

        assert ended(start(root, "sync", LAKE=server.url, BATCH="1")).code == 0
        assert loaded() == all_of(1)
        with held(root, tmp_path / "notes", COPYING, LAKE=server.url, BATCH="2") as it:
            crashed = crash(server)
            said = it.goes_on()
        table.told("PostgreSQL stops in the middle of a load", said, root)
        assert said.code == 1
        with crashed.begun_anew():
            assert loaded() == all_of(1)
            assert ended(start(root, "sync", LAKE=server.url, BATCH="2")).code == 0
            assert loaded() == all_of(2)
            assert ended(start(root, "sync", LAKE=server.url, BATCH="3")).code == 0
            assert loaded() == all_of(3)


@pytest.mark.parametrize("comes_back", one_of(True, False))
@pytest.mark.parametrize("whole_folder", one_of(False, True))
@pytest.mark.parametrize("made", one_of(False, True))
def test_a_duckdb_file_that_is_moved_away_in_the_middle_of_a_load_is_named_and_the_next_sync_heals(
    root: Path, write: Callable[..., None], rows: Callable[[str], list[Any]], tmp_path: Path, comes_back: bool,
    whole_folder: bool, made: bool
) -> None:  # fmt: skip
    """Whether it was there, or the load has made it."""
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    if not made:
        assert ended(start(root, "sync", BATCH="1")).code == 0
    gone = root / "data" if whole_folder else root / "data" / "warehouse.duckdb"
    with held(root, tmp_path / "notes", COPYING, BATCH="2") as it:
        gone.rename(tmp_path / "moved")
        said = it.goes_on()
    assert (said.code, "file" in said.err) == (1, True), said.err
    if not (whole_folder or made):
        table.told("DuckDB's file is moved away in the middle of a load", said, root)
    if comes_back:
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
        (tmp_path / "moved").rename(gone)
        assert made or rows(QUERY) in (all_of(1), all_of(2))
    for batch in (2, 3):
        assert ended(start(root, "sync", BATCH=str(batch))).code == 0
        assert rows(QUERY) == all_of(batch)
