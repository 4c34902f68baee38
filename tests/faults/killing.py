"""A project, its destination, and syncs of it that are killed.

A base is made once for each destination: three batches, two of them after a kill. Every case gets a copy of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import psycopg2

from tests.conftest import native, sources
from tests.faults.points import DUCKDB, Fault
from tests.faults.truth import Query, Truth, difference, held
from tests.fixtures_postgres import Postgres

HERE = Path(__file__).parent
DATASET = "raw_shop"
NORMALIZED = Fault("dlt.pipeline.pipeline:Pipeline.normalize", "after")


@dataclass(frozen=True)
class Ended:
    """How a sync ended. `fired`: whether it was killed."""

    code: int
    out: str
    err: str
    fired: bool

    @property
    def brought(self) -> dict[str, int]:
        """The rows that it loaded, by table."""
        (result,) = json.loads(self.out)["results"]
        return {table["name"]: table["rows"] for table in result["tables"] if table["rows"]}

    @property
    def said(self) -> str:
        """The exit code, and the error if there was one."""
        results = json.loads(self.out)["results"] if self.out else []
        errors = [f"{error['message']} {error['hint']}" for result in results if (error := result["error"])]
        return f"exit code {self.code}: {' '.join(errors) or self.err}"


@dataclass(frozen=True)
class Shop:
    """A project with one source. `server` is the database of a PostgreSQL destination; None: the DuckDB file."""

    root: Path
    server: Postgres | None = None

    def write(self) -> None:
        """Makes the project."""
        for name in ("upstream.py", "shop.py"):
            (self.root / "custom_sources").mkdir(exist_ok=True, parents=True)
            shutil.copy(HERE / name, self.root / "custom_sources")
        listed = sources(native("shop", "shop"))
        if self.server:
            listed = f"destination: lake\ndestinations: {{lake: {{type: postgres}}}}\n{listed}"
        for name, text in ((".dango/sources.yml", listed), (".dlt/secrets.toml", self._secrets())):
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(text)

    def copied(self, root: Path) -> Shop:
        """The same project in another folder, with a database of its own."""
        shutil.copytree(self.root, root)
        if self.server is None:
            return Shop(root)
        copy = replace(self.server, database=f"dango_{secrets.token_hex(8)}")
        with replace(self.server, database="postgres").cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{copy.database}" TEMPLATE "{self.server.database}"')
        shop = Shop(root, copy)
        shop.write()
        return shop

    def drop(self) -> None:
        """Removes the project and its database."""
        shutil.rmtree(self.root)
        if self.server:
            with replace(self.server, database="postgres").cursor() as cursor:
                cursor.execute(f'DROP DATABASE "{self.server.database}" WITH (FORCE)')

    def at(self, batch: int, era: int) -> None:
        """Lets time pass."""
        (self.root / "now").write_text(f"{batch} {era}")

    def sync(self, *options: str, fault: Fault | None = None) -> Ended:
        """`dango sync`, killed where `fault` says; returns when every process of it has ended."""
        with self._started(*options, fault=fault) as (process, notes):
            out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err, (notes / "fired").exists())

    def killed_after(self, seconds: float, process: str, *options: str) -> Ended:
        """`dango sync`; the planner, or the worker with all that it started, is killed so long after its start."""
        with self._started(*options) as (planner, notes):
            while not (note := next(notes.glob(f"{process}-*"), None)) and planner.poll() is None:
                time.sleep(0.005)
            time.sleep(seconds)
            fired = note is not None and not _free(note)
            if note is not None and fired:
                number = int(note.name.rpartition("-")[2])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL) if process == "planner" else os.killpg(number, signal.SIGKILL)
            out, err = planner.communicate(timeout=120)
        return Ended(planner.returncode, out, err, fired)

    @contextlib.contextmanager
    def _started(self, *options: str, fault: Fault | None = None) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        notes = self.root / ".faults" / secrets.token_hex(4)
        notes.mkdir(parents=True)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE / "hook"), os.environ.get("PYTHONPATH", "")])),
            "FAULT_FOLDER": str(notes),
            "FAULT": json.dumps(fault and fault.asdict()),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "dango", "sync", "--json", *options],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process, notes
        finally:
            process.kill()
            process.wait()
            for note in notes.glob("*-*"):
                _wait_until(lambda note=note: _free(note), f"{note.name} has ended")

    @contextlib.contextmanager
    def query(self) -> Iterator[Query]:
        """Asks the destination, for one and the same moment."""
        if self.server is None:
            with duckdb.connect(str(self.root / "data" / "warehouse.duckdb"), read_only=True) as database:
                database.begin()
                yield lambda statement: database.execute(statement).fetchall()
            return
        connection = psycopg2.connect(self.server.url)
        try:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:

                def query(statement: str) -> list[tuple[Any, ...]]:
                    cursor.execute(statement)
                    return cursor.fetchall()

                yield query
        finally:
            connection.close()

    def execute(self, *statements: str) -> None:
        """Changes the destination, as its user might."""
        if self.server is None:
            with duckdb.connect(str(self.root / "data" / "warehouse.duckdb")) as database:
                for statement in statements:
                    database.execute(statement)
            return
        with self.server.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def settled(self) -> None:
        """Waits until the server has done with the connections of processes that were killed."""
        if self.server is not None:
            with self.server.cursor() as cursor:

                def alone() -> bool:
                    cursor.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND pid <> pg_backend_pid()"
                    )
                    return cursor.fetchone() == (0,)

                _wait_until(alone, "the server has done with killed connections")

    @property
    def folders(self) -> Path:
        """dlt's working folders."""
        return self.root / ".dango" / "pipelines"

    def keep(self, name: str) -> None:
        """Keeps a copy of the working folders."""
        shutil.copytree(self.folders, self.root / ".kept" / name)

    def befalls(self, fate: str) -> None:
        """What becomes of the working folders: one of `FOLDERS`."""
        if fate != "kept":
            shutil.rmtree(self.folders)
        if fate not in ("kept", "lost"):
            shutil.copytree(self.root / ".kept" / fate, self.folders)

    def beside(self) -> list[str]:
        """All folders, schemas and tables that are there."""
        with self.query() as query:
            tables = query(
                "SELECT table_schema || '.' || table_name FROM information_schema.tables"
                " WHERE table_schema NOT IN ('information_schema', 'pg_catalog')"
            )
            schemas = query("SELECT DISTINCT schema_name FROM information_schema.schemata")
        files = [path.name for folder in (self.folders, self.root / ".dango") for path in folder.iterdir()]
        return sorted([*files, *(name for (name,) in (*tables, *schemas))])

    def _secrets(self) -> str:
        if self.server is None:
            return ""
        fields = {
            "host": self.server.host, "port": self.server.port, "username": self.server.user,
            "password": self.server.password, "database": self.server.database,
        }  # fmt: skip
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
        return f"[destination.lake.credentials]\n{lines}\n"


@dataclass(frozen=True)
class Base:
    """What every case starts from: three batches are loaded; and how long a sync of it takes."""

    shop: Shop
    truth: Truth
    seconds: float
    own: list[str]
    """Folders, schemas and tables that it has."""


def base(destination: str, root: Path, server: Postgres | None) -> Base:
    """Makes the project of a destination, with copies of its working folder, and what a user made of its tables."""
    shop = Shop(root, server if destination != DUCKDB else None)
    shop.write()
    shop.at(1, 0)
    ended(shop.sync())
    shop.keep("older")
    shop.at(2, 0)
    assert shop.sync(fault=NORMALIZED).fired
    shop.keep("abandoned")
    shop.befalls("lost")
    ended(shop.sync())
    shop.at(3, 0)
    assert shop.sync(fault=NORMALIZED).fired
    shop.keep("pending")
    started = time.monotonic()
    ended(shop.sync())
    seconds = time.monotonic() - started
    truth = Truth().synced(1, 0).synced(2, 0).synced(3, 0)
    with shop.query() as query:
        assert not (differs := difference(truth.tables, held(query, DATASET))), differs
    shop.execute(*USERS_OWN[destination])
    return Base(shop, truth, seconds, shop.beside())


USERS_OWN = {
    "duckdb": (
        "CREATE SCHEMA reports",
        f"CREATE VIEW reports.people AS SELECT id, name FROM {DATASET}.customers",
        f"COMMENT ON TABLE {DATASET}.customers IS 'those who buy'",
        f"CREATE INDEX by_name ON {DATASET}.customers (name)",
    ),
    "postgres": (
        "CREATE SCHEMA reports",
        f"CREATE VIEW reports.people AS SELECT id, name FROM {DATASET}.customers",
        f"COMMENT ON TABLE {DATASET}.customers IS 'those who buy'",
        f"CREATE INDEX by_name ON {DATASET}.customers (name)",
        """DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'dango_reader')
        THEN CREATE ROLE dango_reader; END IF; END $$""",
        f"GRANT SELECT ON {DATASET}.customers TO dango_reader",
    ),
}
"""A view, a comment, an index and a grant, on a table that syncs write."""

_KEPT = {
    "duckdb": f"""
        SELECT 'comment' WHERE EXISTS (SELECT 1 FROM duckdb_tables()
            WHERE schema_name = '{DATASET}' AND table_name = 'customers' AND comment = 'those who buy')
        UNION ALL SELECT 'index' WHERE EXISTS (SELECT 1 FROM duckdb_indexes()
            WHERE schema_name = '{DATASET}' AND index_name = 'by_name')""",
    "postgres": f"""
        SELECT 'comment' WHERE obj_description('{DATASET}.customers'::regclass) = 'those who buy'
        UNION ALL SELECT 'index' WHERE EXISTS (SELECT 1 FROM pg_indexes
            WHERE schemaname = '{DATASET}' AND indexname = 'by_name')
        UNION ALL SELECT 'grant' WHERE has_table_privilege('dango_reader', '{DATASET}.customers', 'SELECT')""",
}


def gone(query: Query, destination: str) -> set[str]:
    """Which of the user's own things are gone, or show other rows than the table has."""
    missing = {"comment", "index"} | ({"grant"} if destination != DUCKDB else set())
    missing -= {name for (name,) in query(_KEPT[destination])}
    people = "SELECT id, name FROM {} ORDER BY id, name"
    if query(people.format("reports.people")) != query(people.format(f"{DATASET}.customers")):
        missing.add("view")
    return missing


def ended(said: Ended) -> Ended:
    """The same, if it ended well."""
    assert said.code == 0, said.said
    return said


def _free(note: Path) -> bool:
    with note.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _wait_until(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)
