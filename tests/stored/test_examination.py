"""What runs leave in a destination: real DuckDB files and a real PostgreSQL, loaded by real syncs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.doctor import examine
from dango.leftover import Leftover
from dango.project import Project
from tests.conftest import Said, native, sources
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

# Each type that dlt knows, as rows and as Arrow: a sync that went well has no drift.
SHOP = """
import datetime as dt
from decimal import Decimal
import dlt
import pyarrow as pa

NOW = dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone.utc)

@dlt.source
def shop():
    @dlt.resource(columns={"j": {"data_type": "json"}, "w": {"data_type": "wei"},
                           "naive": {"data_type": "timestamp", "timezone": False},
                           "small": {"data_type": "bigint", "precision": 16},
                           "short": {"data_type": "text", "precision": 20}})
    def orders():
        for number in range(3):
            yield {"id": number, "at": NOW, "day": NOW.date(), "time": NOW.time(), "price": Decimal("1.5"), "f": 1.5,
                   "raw": b"x", "flag": True, "j": {"a": 1}, "w": 5, "naive": NOW.replace(tzinfo=None), "small": 1,
                   "short": "x", "lines": [{"n": 1}]}

    @dlt.resource(write_disposition="merge", primary_key="id")
    def users():
        yield {"id": 1, "name": "x", "tags": ["a"]}

    @dlt.resource(write_disposition="replace")
    def frames():
        yield pa.table({
            "i8": pa.array([1], pa.int8()), "i32": pa.array([1], pa.int32()), "f32": pa.array([1.0], pa.float32()),
            "price": pa.array([Decimal("1.25")]), "at": pa.array([NOW]), "second": pa.array([NOW], pa.timestamp("s")),
            "raw": pa.array([b"x"]), "day": pa.array([NOW.date()]), "flag": pa.array([True]),
            "word": pa.array(["a"]).dictionary_encode(),
            "whole": pa.array([Decimal(5)], pa.decimal128(38, 0)),
        })

    return orders, users, frames
"""
ROWS = "def rows():\n    yield {'id': 1}\n"


def found(root: Path, *, fix: bool = False) -> list[Leftover]:
    return list(examine(Project.at(root), fix=fix))


def brief(leftovers: list[Leftover]) -> set[tuple[str, str, str]]:
    return {(each.kind, each.where, each.needs) for each in leftovers}


@contextmanager
def warehouse(root: Path) -> Iterator[Any]:
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        yield database.execute


def of_postgres(postgres: Postgres) -> str:
    """The section of `secrets.toml`."""
    pairs = {
        "host": postgres.host, "port": postgres.port, "username": postgres.user, "password": postgres.password,
        "database": postgres.database,
    }  # fmt: skip
    return "[destination.lake.credentials]\n" + "".join(
        f"{key} = {json.dumps(value)}\n" for key, value in pairs.items()
    )


def computed() -> float:
    """Seconds of a processor that this process and those that it has ended have used."""
    return sum(os.times()[:4])


def drifts(execute: Callable[[str], Any]) -> None:
    """What a person may do to tables that dlt made."""
    execute("ALTER TABLE raw_shop.orders DROP COLUMN price")
    execute("ALTER TABLE raw_shop.orders ALTER COLUMN f TYPE VARCHAR")
    execute("ALTER TABLE raw_shop.orders ADD COLUMN mine INTEGER")
    execute("DROP TABLE raw_shop.frames")
    execute("CREATE TABLE raw_shop.notes (text VARCHAR)")
    execute("CREATE VIEW raw_shop.seen AS SELECT id FROM raw_shop.users")
    execute("INSERT INTO raw_shop.users (id, _dlt_load_id, _dlt_id) VALUES (8, 'lost', 'a'), (9, 'lost', 'b')")


DRIFT = {
    ("drift", "raw_shop.orders", "dango sync shop --full-refresh"),
    ("drift", "raw_shop.orders", ""),
    ("drift", "raw_shop.frames", "dango sync shop --full-refresh"),
    ("drift", "raw_shop.notes", ""),
    ("open load", "raw_shop.users", "dango sync shop --full-refresh"),
}


@pytest.mark.slow
def test_what_differs_from_dlts_schema_is_told_and_a_full_refresh_cures_it(
    root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    assert dango("sync").code == 0
    found(root, fix=True)
    assert found(root) == []
    with warehouse(root) as execute:
        drifts(execute)
    leftovers = found(root, fix=True)
    assert brief(leftovers) == DRIFT
    assert not any(each.fixable for each in leftovers)
    said = {each.what for each in leftovers}
    assert "without `price`, which dlt's schema has" in said
    assert any("`f` is VARCHAR, where dlt's schema has double" in what for what in said)
    assert "2 rows of a load that never completed" in said
    assert dango("sync", "--full-refresh").code == 0
    assert {each.kind for each in found(root) if each.open} == set()


@pytest.mark.slow
@pytest.mark.postgres
def test_postgresql_is_looked_into_as_duckdb_is(root: Path, write: Write, dango: Dango, postgres: Postgres) -> None:
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n"
        + native("shop", "shop"),
        "custom_sources/shop.py": SHOP,
        ".dlt/secrets.toml": of_postgres(postgres),
    })  # fmt: skip
    assert dango("sync").code == 0
    found(root, fix=True)
    assert found(root) == []
    with postgres.cursor() as cursor:
        drifts(cursor.execute)
        cursor.execute("ALTER TABLE raw_shop.users ADD COLUMN owner text NOT NULL DEFAULT 'me'")
        cursor.execute("ALTER TABLE raw_shop.users ALTER COLUMN owner DROP DEFAULT")
    leftovers = found(root)
    needs = "give `owner` a default, or allow NULL: every load fails over it"
    assert brief(leftovers) == {*DRIFT, ("drift", "raw_shop.users", needs)}
    assert any("`f` is character varying, where dlt's schema has double" in each.what for each in leftovers)
    with postgres.cursor() as cursor:
        cursor.execute("ALTER TABLE raw_shop.users DROP COLUMN owner")
    assert dango("sync", "--full-refresh").code == 0
    assert not any(each.open for each in found(root))


@pytest.mark.slow
def test_datasets_of_trials_and_staging_are_dropped_when_that_is_wanted_and_the_data_stays(
    root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": ROWS})
    assert dango("sync").code == 0
    assert dango("sync", "--limit", "1").code == 0
    with warehouse(root) as execute:
        execute("CREATE SCHEMA raw_shop_staging")
        execute("CREATE TABLE raw_shop_staging.rows AS FROM raw_shop.rows")
        execute("CREATE SCHEMA mine__trial")
    # A notebook that reads is not in the way of who only reads.
    with duckdb.connect(str(root / "data" / "warehouse.duckdb"), read_only=True):
        assert {(each.kind, each.where, each.what) for each in found(root)} == {
            ("trial", "raw_shop__trial", "a trial's dataset, 1 row"),
            ("staging", "raw_shop_staging", "1 row of an earlier load in the staging dataset"),
        }
        assert {each.kind for each in found(root, fix=True)} == {"unreachable"}
    assert all(each.fixed for each in found(root, fix=True))
    assert found(root) == []
    with warehouse(root) as execute:
        schemas = {name for (name,) in execute("SELECT schema_name FROM information_schema.schemata").fetchall()}
        assert {"raw_shop", "mine__trial"} <= schemas
        assert not {"raw_shop__trial", "raw_shop_staging"} & schemas
        assert execute("SELECT count(*) FROM raw_shop.rows").fetchall() == [(1,)]
    assert dango("sync").code == 0


@pytest.mark.slow
def test_a_database_that_another_process_holds_or_that_is_none_is_told_and_no_crash(
    root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("shop"), native("other")), "custom_sources/shop.py": ROWS})
    (root / "data").mkdir()
    file = root / "data" / "warehouse.duckdb"
    with duckdb.connect(str(file)):
        (leftover,) = found(root)
    assert (leftover.kind, leftover.where) == ("unreachable", "duckdb")
    assert f"held by process {os.getpid()}" in leftover.what
    assert leftover.needs.startswith("DuckDB lets one process write at a time")
    file.write_text("no database")
    said = dango("doctor")
    assert (said.code, said.err) == (1, "")
    assert "cannot be used: " in said.out
    assert file.read_text() == "no database"


def test_a_file_that_is_not_there_yet_is_not_made(root: Path, write: Write) -> None:
    head = (
        "version: 1\ndestination: lake\ndestinations: {lake: {type: duckdb, credentials: data/lake.duckdb}}\nsources:\n"
    )
    write({"sources": head + native("shop")})
    assert found(root, fix=True) == []
    assert not (root / "data").exists()


def test_a_destination_that_is_not_looked_into_is_said_and_is_no_fault(root: Path, write: Write, dango: Dango) -> None:
    lake = "{lake: {type: filesystem, bucket_url: files}}"
    write({"sources": f"version: 1\ndestination: lake\ndestinations: {lake}\nsources:\n" + native("shop")})
    said = dango("doctor")
    assert said.code == 0
    assert "not looked into: doctor does that for duckdb and postgres\n  where: lake\n" in said.out


@pytest.mark.slow
@pytest.mark.postgres
def test_a_postgresql_that_cannot_be_reached_is_told_without_the_password(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    config = "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n" + native("shop")
    write({"sources": config, ".dlt/secrets.toml": of_postgres(postgres).replace(postgres.password, "t1ger-of-mine")})
    said = dango("doctor")
    assert said.code == 1
    assert "destination `lake` cannot be used: " in said.out
    assert "t1ger-of-mine" not in said.out + said.err
    write({".dlt/secrets.toml": ""})
    said = dango("doctor")
    assert said.code == 1
    assert "destination `lake` has no value for" in said.out
    assert "[destination.lake.credentials]" in said.out


@pytest.mark.slow
@pytest.mark.postgres
def test_a_lease_without_a_sign_of_life_is_released_and_one_with_is_respected(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n" + native("shop"),
        "custom_sources/shop.py": ROWS,
        ".dlt/secrets.toml": of_postgres(postgres),
    })  # fmt: skip
    assert dango("sync").code == 0
    assert dango("sync", "--limit", "1").code == 0
    table = "raw_shop._dango_lease"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with postgres.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET holder = 'elsewhere:7', beat = now()")
        held = found(root, fix=True)
        assert [(each.kind, each.open) for each in held] == [("held", False)]
        assert "process 7 on elsewhere" in held[0].what
        for holder, beat in (
            ("elsewhere:7", "now() - interval '61 s'"),
            (f"{socket.gethostname()}:{dead.pid}", "now()"),
        ):
            cursor.execute(f"UPDATE {table} SET holder = %s, beat = {beat}", [holder])
            assert {each.kind for each in found(root)} == {"lease", "trial"}
        assert all(each.fixed for each in found(root, fix=True))
        cursor.execute(f"SELECT beat FROM {table}")
        assert cursor.fetchall() == [(None,)]
    assert found(root) == []


@pytest.mark.slow
def test_two_hundred_sources_of_one_database_are_looked_at_together(
    root: Path, write: Write, dango: Dango, record_property: Callable[[str, Any], None]
) -> None:
    write({"sources": sources(native("s0")), "custom_sources/shop.py": ROWS})
    assert dango("sync").code == 0
    write({"sources": sources(*(native(f"s{number}") for number in range(200)))})
    with warehouse(root) as execute:
        tables = ("rows", "_dlt_version", "_dlt_loads", "_dlt_pipeline_state")
        for number in range(1, 200):
            execute(f"CREATE SCHEMA raw_s{number}")
            for table in tables:
                execute(f"CREATE TABLE raw_s{number}.{table} AS FROM raw_s0.{table}")
        execute("UPDATE raw_s150.rows SET _dlt_load_id = 'lost'")
    started, used = time.monotonic(), computed()
    leftovers = found(root)
    seconds, used = time.monotonic() - started, computed() - used
    record_property(
        "figure", f"doctor: 200 sources of one DuckDB file in {seconds:.1f} s, of which {used:.1f} s computing"
    )
    assert brief(leftovers) == {("open load", "raw_s150.rows", "dango sync s150 --full-refresh")}
    # A process or a connection for each source would take minutes; what else the machine does is not counted.
    assert used < 6
