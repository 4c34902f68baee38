"""What else loads data: found in environments of its own, left out where it is not, or cannot do a job.

`make bench-peers` puts them under `bench/.peers`; `DANGO_BENCH_PEERS` names another folder. A peer that makes something
else of the data than what was there is left out, and why is said.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import truth
from bench.data import Data, Table
from bench.measure import Command, Contestant, Unable, run
from tests.postgres_server import Postgres

FOLDER = Path(os.environ.get("DANGO_BENCH_PEERS") or Path(__file__).with_name(".peers"))
_MOST_AS_TEXT = 100_000
_MOST_AS_JSON = 1_000_000


@dataclass(frozen=True, slots=True)
class Input:
    """What is to be loaded: a table's rows, in a file or in a PostgreSQL database."""

    table: Table
    rows: int
    file: Path | None = None
    database: tuple[Postgres, str] | None = None

    @property
    def kind(self) -> str:
        """`postgres`, or the file's ending."""
        return "postgres" if self.database else str(self.file).rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Output:
    """Where to: a PostgreSQL database; None for a DuckDB file."""

    database: Postgres | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One peer's part in a job: what to load, and an empty folder to do it in. The table is to be `loaded`."""

    given: Input
    wanted: Output
    home: Path
    folder: Path

    @property
    def warehouse(self) -> Path:
        """The DuckDB file to load into."""
        return self.folder / "warehouse.duckdb"

    @property
    def source(self) -> str:
        """The URL of the PostgreSQL database to read."""
        assert self.given.database is not None
        return self.given.database[0].url

    @property
    def name(self) -> str:
        """The name of the table to read, without its schema."""
        return self.given.database[1] if self.given.database else "loaded"

    @property
    def target(self) -> str:
        """The URL to load into."""
        return self.wanted.database.url if self.wanted.database else f"duckdb:///{self.warehouse}"

    def only(self, *ways: str) -> None:
        """Raises `Unable` where the way (`csv duckdb`) is none of these."""
        way = f"{self.given.kind} {'postgres' if self.wanted.database else 'duckdb'}"
        if way not in ways:
            raise Unable(f"does not do {way.replace(' ', ' → ')}, or was not tried")

    def command(self, *words: object, **environment: object) -> Command:
        """A command with a home of its own, and none of our Python's path."""
        own = {
            "HOME": self.home, "PYTHONPATH": "", "NO_COLOR": "1", "RUNTIME__DLTHUB_TELEMETRY": "false",
            "DLT_DATA_DIR": self.folder / ".dlt",
        }  # fmt: skip
        said = {name: str(value) for name, value in {**own, **environment}.items()}
        return Command(tuple(map(str, words)), self.folder, said)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another tool: its environments with what pip installs into each, and how it does a job.

    `command` prepares what it needs, untimed, and returns what is timed; raises `Unable`.
    """

    label: str
    environments: Mapping[str, tuple[str, ...]]
    command: Callable[[Work], Command]
    relation: str = "loaded"
    """Where the rows are then; `{table}` is the name of the table that was read."""


def contestants(given: Input, wanted: Output, folder: Path, data: Data) -> tuple[dict[str, Contestant], dict[str, str]]:
    """The peers that can do a job, and why the others cannot."""
    able: dict[str, Contestant] = {}
    skipped: dict[str, str] = {}
    for name, peer in PEERS.items():
        missing = [one for one in peer.environments if not (FOLDER / one / "bin" / "python").exists()]
        if missing:
            skipped[peer.label] = "not installed: make bench-peers"
            continue
        work = Work(given, wanted, FOLDER / "home", folder / name)
        try:
            work.home.mkdir(exist_ok=True)
            _emptied(work.folder)
            able[name] = _contestant(peer, work, data)
        except Unable as error:
            skipped[peer.label] = str(error)
    return able, skipped


def _contestant(peer: Peer, work: Work, data: Data) -> Contestant:
    command = peer.command(work)

    def prepare() -> None:
        if work.wanted.database:
            with work.wanted.database.cursor() as cursor:
                cursor.execute("DROP SCHEMA IF EXISTS public, raw CASCADE")
                cursor.execute("CREATE SCHEMA public")
        _emptied(work.folder)
        peer.command(work)

    def check() -> None:
        table, relation = work.given.table, peer.relation.format(table=work.name)
        if work.wanted.database:
            found = truth.of_postgres(work.wanted.database, relation, table.kinds)
        else:
            found = truth.of_duckdb(_only_file(work), relation, table.kinds)
        truth.require(table.name, found, data.content(table, work.given.rows))

    return Contestant(peer.label, command, prepare, check, peer=True)


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _only_file(work: Work) -> Path:
    """The DuckDB file: where it was to be, or where the tool always has it."""
    found = next(iter(work.folder.rglob("*.duckdb")), None)
    return found or work.warehouse


def _sling(work: Work) -> Command:
    work.only("postgres duckdb", "csv duckdb", "parquet duckdb", "csv postgres")
    packages = next((FOLDER / "sling" / "lib").glob("python3*")) / "site-packages"
    for name in ("json", "httpfs"):
        extension = next((packages / f"duckdb_extension_{name}").rglob(f"{name}.duckdb_extension"))
        place = work.home / ".duckdb" / "extensions" / extension.parent.name / "linux_amd64" / extension.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(extension)
    source = ("SOURCE", f"public.{work.name}") if work.given.database else ("LOCAL", f"file://{work.given.file}")
    schema = "public" if work.wanted.database else "main"
    return work.command(
        packages / "sling_linux_amd64/bin/sling-linux-amd64", "run", "--src-conn", source[0], "--src-stream", source[1],
        "--tgt-conn", "TARGET", "--tgt-object", f"{schema}.loaded", "--mode", "full-refresh",
        SOURCE=f"{work.source}?sslmode=disable" if work.given.database else "",
        TARGET=f"{work.target}?sslmode=disable" if work.wanted.database else work.target,
        DUCKDB_PATH=packages / "duckdb_cli/duckdb", SLING_DISABLE_TELEMETRY="true",
    )  # fmt: skip


def _ingestr(environment: str, *ways: str) -> Callable[[Work], Command]:
    def command(work: Work) -> Command:
        work.only(*ways)
        source = (work.source, f"public.{work.name}") if work.given.database else (f"csv://{work.given.file}", "loaded")
        if work.given.kind == "jsonl":
            source = (f"jsonl://{work.given.file}", "loaded")
        return work.command(
            FOLDER / environment / "bin/ingestr", "ingest", "--yes", "--source-uri", source[0], "--source-table",
            source[1], "--dest-uri", work.target, "--dest-table", "raw.loaded", "--progress", "log",
            TELEMETRY_OPTOUT="true", DISABLE_TELEMETRY="true", ADBC_DRIVER_PATH=FOLDER / "adbc",
        )  # fmt: skip

    return command


def _singer(work: Work) -> Command:
    work.only("postgres duckdb")
    if work.given.rows > _MOST_AS_JSON:
        raise Unable("pipes rows as JSON; 5,000,000 take it over a quarter of an hour")
    assert work.given.database is not None
    server, table = work.given.database
    tap = work.folder / "tap.json"
    tap.write_text(json.dumps({
        "host": server.host, "port": server.port, "user": server.user, "password": server.password,
        "database": server.database, "filter_schemas": ["public"],
    }))  # fmt: skip
    program = FOLDER / "singer_tap/bin/tap-postgres"
    _, said = run(work.command(program, "--config", tap, "--discover"))
    catalog = json.loads(said)
    catalog["streams"] = [stream for stream in catalog["streams"] if stream["table_name"] == table]
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    (work.folder / "catalog.json").write_text(json.dumps(catalog))
    target = {"path": str(work.warehouse), "default_target_schema": "raw", "primary_key_required": False}
    (work.folder / "target.json").write_text(json.dumps(target))
    (work.folder / "pipe.sh").write_text(
        f"set -euo pipefail\n{program} --config tap.json --catalog catalog.json"
        f" | {FOLDER}/singer_target/bin/target-duckdb --config target.json\n"
    )
    return work.command("bash", "pipe.sh")


def _getdango(work: Work) -> Command:
    work.only("postgres duckdb", "csv duckdb", "jsonl duckdb", "parquet duckdb")
    program = FOLDER / "getdango/bin/dango"
    run(work.command(program, "init", ".", "--skip-wizard"))
    if work.given.database:
        if work.given.rows > _MOST_AS_TEXT:
            raise Unable(f"writes rows as SQL text; with more than {_MOST_AS_TEXT:,} it was not tried")
        arguments = {
            "credentials": work.source.replace("postgresql:", "postgresql+psycopg2:"),
            "table_names": [work.name],
        }
        native = {"source_module": "sql_database", "source_function": "sql_database", "function_kwargs": arguments}
        source = {"name": "loaded", "type": "dlt_native", "dlt_native": native}
    else:
        assert work.given.file is not None
        folder = work.folder / "data" / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(work.given.file, folder / f"loaded.{work.given.kind}")
        local = {"directory": "data/uploads", "file_pattern": f"loaded.{work.given.kind}"}
        source = {"name": "loaded", "type": "local_files", "local_files": local}
    (work.folder / ".dango/sources.yml").write_text(json.dumps({"version": "1.0", "sources": [source]}))
    return work.command(program, "sync", "loaded", PATH=f"{program.parent}:{os.environ['PATH']}", DO_NOT_TRACK="1")


PEERS: Mapping[str, Peer] = {
    "ingestr_1": Peer(
        "ingestr 0.15.9",
        {"ingestr15": ("ingestr==0.15.9",)},
        _ingestr("ingestr15", "postgres duckdb", "csv duckdb", "jsonl duckdb", "csv postgres"),
        "raw.loaded",
    ),
    "ingestr_0": Peer(
        "ingestr 0.14.155",
        {"ingestr14": ("ingestr==0.14.155",)},
        _ingestr("ingestr14", "postgres duckdb", "csv duckdb", "csv postgres"),
        "raw.loaded",
    ),
    "sling": Peer(
        "sling 1.4.11",
        {
            "sling": (
                "sling-linux-amd64==1.4.11", "duckdb-cli==1.5.5", "duckdb-extension-json==1.5.5",
                "duckdb-extension-httpfs==1.5.5",
            )
        },
        _sling,
    ),
    "singer": Peer(
        "tap-postgres 0.10.0 | target-duckdb 0.8.0",
        # With DuckDB 1.3 and later the target loses the first row.
        {
            "singer_tap": ("meltanolabs-tap-postgres==0.10.0",),
            "singer_target": ("target-duckdb==0.8.0", "duckdb<1.3"),
        },
        _singer,
        "raw.{table}",
    ),
    "getdango": Peer(
        "getdango 1.0.13",
        {"getdango": ("getdango==1.0.13", "psycopg2-binary", "sqlalchemy")},
        _getdango,
        "raw_loaded.{table}",
    ),
}  # fmt: skip


def _library() -> None:
    """DuckDB as ingestr 0.15 loads it: a library, and the file that tells where it is. It comes from npm."""
    folder = FOLDER / "adbc"
    folder.mkdir(parents=True, exist_ok=True)
    package = "@duckdb/node-bindings-linux-x64@1.5.5-r.1"
    subprocess.run(["npm", "pack", "-s", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extract("package/libduckdb.so", folder, filter="data")
    manifest = (
        'manifest_version = 1\nname = "duckdb"\nversion = "1.5.5"\n\n[Driver]\nentrypoint = "duckdb_adbc_init"\n\n'
        f'[Driver.shared]\nlinux_amd64 = "{folder / "package/libduckdb.so"}"\n'
    )
    (folder / "duckdb.toml").write_text(manifest)


def install() -> Iterator[str]:
    """Makes each peer's environments; yields what became of each. One that fails stops no other."""
    for peer in PEERS.values():
        for name, packages in peer.environments.items():
            folder = FOLDER / name
            venv.create(folder, with_pip=True)
            done = subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", *packages], check=False)
            if done.returncode != 0:
                shutil.rmtree(folder)
            yield f"{name}: {'installed' if done.returncode == 0 else 'cannot be installed here'}"
    try:
        _library()
    except (OSError, subprocess.CalledProcessError) as error:
        yield f"the library of DuckDB that ingestr 0.15 needs cannot be installed here: {error}"
