"""`dango sync --on`: the same command, events, errors, history and exit codes, on the machines of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.cluster.running import Cluster
from tests.conftest import Said
from tests.postgres_server import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.xdist_group("ray")]

SHOP = """
import os, time
import dlt

@dlt.resource(write_disposition="append")
def orders(token=dlt.secrets.value, cursor=dlt.sources.incremental("id", initial_value=0)):
    print("orders of", token)
    yield [{"id": n, "pid": os.getpid()} for n in range(1, 1001) if n > cursor.last_value]

@dlt.resource
def broken(token=dlt.secrets.value):
    yield [{"id": 1}]
    raise ValueError(f"refused: {token}")

@dlt.resource(write_disposition="append")
def slow():
    for n in range(600):
        yield {"id": n}
        time.sleep(0.1)
"""


@pytest.fixture
def project(write: Callable[..., None], postgres: Postgres) -> Postgres:
    """Sources that go to PostgreSQL, each with a secret."""
    blocks = "".join(
        f"  - {{name: {name}, type: dlt_native, dlt_native: {{source_module: shop, source_function: {function}}}}}\n"
        for name, function in (("one", "orders"), ("two", "orders"), ("bad", "broken"), ("long", "slow"))
    )
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n" + blocks,
        "custom_sources/shop.py": SHOP,
        ".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{postgres.url}"\n'
        '[sources.one]\ntoken = "secret-of-one"\n[sources.two]\ntoken = "secret-of-two"\n'
        '[sources.bad]\ntoken = "secret-of-bad"\n',
        ".env": "SOURCES__LONG__TOKEN=secret-of-long\n",
    })  # fmt: skip
    return postgres


def _count(postgres: Postgres, table: str) -> tuple[int, int]:
    with postgres.cursor() as cursor:
        cursor.execute(f"SELECT count(*), count(DISTINCT id) FROM {table}")
        found: tuple[int, int] = cursor.fetchone()
    return found


def test_a_sync_on_a_cluster_is_like_one_here(dango: Callable[..., Said], cluster: Cluster, project: Postgres) -> None:
    said = dango("sync", "one", "two", "--on", "auto", "--json", env=cluster.env)
    assert said.code == 0, said.err
    assert {(each["source"], each["status"], each["rows"]) for each in said.json["results"]} == {
        ("one", "ok", 1000), ("two", "ok", 1000),
    }  # fmt: skip
    assert _count(project, "raw_one.orders") == _count(project, "raw_two.orders") == (1000, 1000)
    assert _statuses(dango) == ["ok", "ok"]


PARTS = """
import datetime as dt
import os
from pathlib import Path
import dlt

START = dt.date.today() - dt.timedelta(days=100)

@dlt.resource(write_disposition="append")
def days(at=dlt.sources.incremental("at", initial_value=str(START))):
    if os.environ.get("CLOSED") and at.last_value >= str(START + dt.timedelta(days=60)):
        raise ConnectionError("closed")
    yield [{"id": n, "at": str(START + dt.timedelta(days=n - 1))} for n in range(1, 101)]
"""


def test_a_resource_is_loaded_in_parts_there_and_a_stopped_run_goes_on(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres, write: Callable[..., None]
) -> None:
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n"
        "  - {name: years, type: dlt_native, dlt_native: {source_module: parts, source_function: days},\n"
        "     resources: {days: {split: {column: at, size: 20 days}}}}\n",
        "custom_sources/parts.py": PARTS,
        ".env": "CLOSED=1\n",
    })  # fmt: skip
    said = dango("sync", "--on", "auto", "--json", env=cluster.env)
    (result,) = said.json["results"]
    assert (said.code, result["error"]["message"]) == (1, "ConnectionError: closed"), said.out
    assert "3 of 5 parts are loaded" in result["error"]["hint"]
    assert _count(project, "raw_years.days") == (60, 60)
    write({".env": ""})
    said = dango("sync", "--on", "auto", "--resume", said.json["run"], "--json", env=cluster.env)
    assert said.code == 0, said.out
    assert _count(project, "raw_years.days") == (100, 100)
    assert said.json["results"][0]["rows"] == 100


def test_the_resources_of_a_source_are_jobs_of_their_own_there(
    root: Path, dango: Callable[..., Said], cluster: Cluster, project: Postgres, write: Callable[..., None]
) -> None:
    both = """
import dlt

@dlt.source
def both(last: int):
    def rows(name):
        def of(at=dlt.sources.incremental("id", initial_value=1)):
            yield [{"id": n} for n in range(1, last + 1)]
        return dlt.resource(of, name=name, write_disposition="append")
    return [rows(name) for name in ("orders", "visits", "people")]
"""
    for last in (100, 150):
        write({
            "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n"
            "  - {name: both, type: dlt_native, split: resources,\n"
            f"     dlt_native: {{source_module: both, source_function: both, function_kwargs: {{last: {last}}}}}}}\n",
            "custom_sources/both.py": both,
        })  # fmt: skip
        said = dango("sync", "--on", "auto", "--json", env=cluster.env)
        assert said.code == 0, said.out
        for table in ("orders", "visits", "people"):
            assert _count(project, f"raw_both.{table}") == (last, last)
        log = (root / f".dango/logs/{said.json['run']}.log").read_text()
        for step in ("queued", "extract"):
            assert sum(line.endswith(f"both: {step}") for line in log.splitlines()) == 3


def test_a_second_sync_goes_on_where_the_first_ended_and_by_the_client_as_well(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres, write: Callable[..., None]
) -> None:
    assert dango("sync", "one", "--on", "auto", env=cluster.env).code == 0
    write({"custom_sources/shop.py": SHOP.replace("1001", "1201")})
    said = dango("sync", "one", "--on", cluster.client, "--json")
    assert said.code == 0, said.err
    assert [each["rows"] for each in said.json["results"]] == [200]
    assert _count(project, "raw_one.orders") == (1200, 1200)


def test_a_source_says_itself_where_it_runs(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres, root: Path
) -> None:
    text = (root / ".dango/sources.yml").read_text()
    (root / ".dango/sources.yml").write_text(text.replace("{name: one, ", "{name: one, executor: auto, "))
    said = dango("sync", "one", "two", "--json", env=cluster.env)
    assert said.code == 0, said.err
    assert {each["source"]: each["rows"] for each in said.json["results"]} == {"one": 1000, "two": 1000}
    # Here, `two` has left what dlt knows of it; `one` has left nothing.
    assert [path.name for path in (root / ".dango/pipelines").iterdir()] == ["two--lake--raw_two"]


def test_a_source_that_fails_is_told_as_it_is_here(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres
) -> None:
    here, there = (dango("-v", "sync", "bad", "one", *on, env=cluster.env) for on in ((), ("--on", "auto")))
    assert here.code == there.code == 3
    for said in (here, there):
        assert "custom_sources/shop.py:13" in said.err and "ValueError: refused: ***" in said.err
        assert "orders of ***" in said.err
        assert "secret-of" not in said.out + said.err


def test_what_a_node_does_not_have_is_refused_before_anything_begins(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres, root: Path
) -> None:
    said = dango("sync", "one", "--destination", "duckdb", "--on", "auto", env=cluster.env)
    assert said.code == 2
    assert "destination `duckdb` is a file of DuckDB's on one machine, and no node has it" in said.err
    assert "--destination NAME" in said.err
    assert dango("history", "--json").json["runs"] == []


def test_files_where_every_node_reaches_them(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres, root: Path, tmp_path: Path
) -> None:
    text = (root / ".dango/sources.yml").read_text()
    lake = f"{{lake: {{type: postgres}}, files: {{type: filesystem, bucket_url: '{tmp_path / 'lake'}'}}}}"
    (root / ".dango/sources.yml").write_text(text.replace("{lake: {type: postgres}}", lake))
    for rows in (1000, 200):
        said = dango("sync", "one", "--destination", "files", "--on", "auto", "--json", env=cluster.env)
        assert said.code == 0, said.err
        assert [each["rows"] for each in said.json["results"]] == [rows]
        (root / "custom_sources/shop.py").write_text(SHOP.replace("1001", "1201"))
    files = [path for path in (tmp_path / "lake/raw_one/orders").rglob("*") if path.is_file()]
    with duckdb.connect() as database:
        found = [path for path in files if path.suffix in (".gz", ".jsonl", ".parquet")]
        kind = "read_parquet" if found[0].suffix == ".parquet" else "read_json"
        (held,) = database.execute(
            f"SELECT count(*), count(DISTINCT id) FROM {kind}(?)", [list(map(str, found))]
        ).fetchall()
    assert held == (1200, 1200)


def test_where_no_cluster_is_it_is_said(dango: Callable[..., Said], project: Postgres) -> None:
    said = dango("sync", "one", "--on", "auto", env={"RAY_ADDRESS": "127.0.0.1:1"})
    assert said.code == 2 and "no cluster at 127.0.0.1:1: Connection refused" in said.err, said.err
    said = dango("sync", "one", "--on", "elsewhere")
    assert said.code == 2 and "no executor `elsewhere`" in said.err, said.err


def test_a_cluster_of_another_version_is_refused(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as metadata\n"
        "real = metadata.version\n"
        "metadata.version = lambda name: '9.9.9' if name == 'dango' else real(name)\n"
    )
    said = dango("sync", "one", "--on", "auto", env={**cluster.env, "PYTHONPATH": str(tmp_path)})
    assert said.code == 2, said.err
    assert "auto has other versions: dango 0." in said.err and "there and 9.9.9 here" in said.err


def test_secrets_go_nowhere_but_into_the_task_of_their_source(
    dango: Callable[..., Said], cluster: Cluster, project: Postgres
) -> None:
    looked: list[str] = []
    process = _begun(cluster, "long", "bad", "one")
    try:
        until(lambda: _rows(project, "raw_one.orders") == 1000)
        for folder in (cluster.folder, cluster.base):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    looked += [str(path)] if b"secret-of" in path.read_bytes() else []
        for proc in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    looked += [str(proc / name)] if b"secret-of" in (proc / name).read_bytes() else []
                except OSError:
                    continue
        looked += [line for line in _state(cluster) if "secret-of" in line]
        assert len(_state(cluster)) > 3
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert looked == []
    assert "secret-of" not in out + err


def test_ctrl_c_ends_the_tasks_within_seconds(dango: Callable[..., Said], cluster: Cluster, project: Postgres) -> None:
    process = _begun(cluster, "long")
    until(lambda: bool(processes("dango long")))
    time.sleep(3)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    ended = time.monotonic() - sent
    assert process.returncode == 130, err
    assert ended < 4, ended
    until(lambda: not processes("dango long"), 5)
    assert _statuses(dango) == ["interrupted"]
    assert _rows(project, "raw_long.slow") == 0
    assert dango("sync", "one", "--on", "auto", env=cluster.env).code == 0


def _begun(cluster: Cluster, *names: str) -> subprocess.Popen[str]:
    root = Path(os.environ["DANGO_TEST_ROOT"])
    return subprocess.Popen(
        [sys.executable, "-m", "dango", "sync", *names, "--on", "auto"],
        cwd=root, env={**os.environ, **cluster.env}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANGO_TEST_ROOT", str(root))


def _statuses(dango: Callable[..., Said]) -> list[str]:
    """Of each source in the newest run, as the history has it."""
    newest = dango("history", "--json").json["runs"][0]
    return [each["status"] for each in newest]


def _rows(postgres: Postgres, table: str) -> int:
    with postgres.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
        if not cursor.fetchone()[0]:
            return 0
    return _count(postgres, table)[0]


def until(there: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)


def processes(task: str) -> list[int]:
    """The processes of the cluster that work on a task of that name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{task}".encode()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _state(cluster: Cluster) -> list[str]:
    """All that the cluster tells whoever asks: of tasks, processes, objects and nodes."""
    ask = (
        "import json, ray\n"
        "from ray.util import state\n"
        "ray.init('auto', log_to_driver=False)\n"
        "for list_ in (state.list_tasks, state.list_workers, state.list_objects, state.list_actors, state.list_jobs):\n"
        "    for each in list_(detail=True, limit=1000): print(str(each).replace(chr(10), ' '))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], env={**os.environ, **cluster.env}, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()
