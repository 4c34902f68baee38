"""The jobs that load nothing: what people type all day, and what is left of many syncs."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import truth
from bench.bench import Bench
from bench.data import FLAT
from bench.measure import BenchError, Command, Contest, Contestant, Sample
from bench.projects import Project, from_code, ours, script

MANY = 200
PAGE = 100


def reading(*words: str) -> Callable[[Bench, int], Contest]:
    """A command in a project of two hundred sources and so many runs, against one of each."""

    def contest(bench: Bench, rows: int) -> Contest:
        few, many = _project(bench, "few", 1, 1), _project(bench, "many", MANY, rows)
        label = f"dango {' '.join(words)}"
        return Contest({
            "reference": Contestant(f"{label}, one source and one run", few.dango(*words)),
            "dango": Contestant(label, many.dango(*words), read=_names(MANY)),
        })  # fmt: skip

    return contest


def help_page(bench: Bench, rows: int) -> Contest:
    """`dango --help` against the smallest program with typer."""
    return Contest({
        "reference": Contestant(
            "a typer program of one command", script("one_command", bench.folder("reference"), "--help")
        ),
        "dango": Contestant(
            "dango --help", Command((sys.executable, "-m", "dango", "--help"), bench.folder("dango"), ours())
        ),
    })  # fmt: skip


def folder_growth(bench: Bench, rows: int) -> Contest:
    """The size of `.dango/` after so many syncs, each of which loads something, against a tenth of them."""

    def syncs(folder: str, times: int) -> Contestant:
        project = Project.written(bench.folder(folder), [from_code("load", "events", rows=PAGE)])
        again = script("again", bench.folder(f"{folder}_home"), times)
        command = Command(again.words, project.root, again.environment)

        def check() -> None:
            found = truth.of_duckdb(project.warehouse, "raw_load.events", FLAT.kinds)
            truth.require("events", found, bench.data.content(FLAT, times * PAGE))

        return Contestant(
            f"dango, {times} syncs", command, project.reset, check, lambda said: {"size": _size(project.state)}
        )

    return Contest({"reference": syncs("tenth", rows // 10), "dango": syncs("dango", rows)})


def _size(folder: Path) -> float:
    """The bytes in a folder's files. In whole blocks, of which each of the thirty logs that stay takes one, it would be
    the file system that is measured."""
    return float(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


def _names(sources: int) -> Callable[[str], Sample]:
    """Whether a command has told of every source. Raises `BenchError`."""

    def read(said: str) -> Sample:
        # `check` counts those that are well.
        if said.count("source_") < sources and f"{sources} of {sources} sources" not in said:
            raise BenchError(f"wrong result: it does not tell of all {sources} sources")
        return {}

    return read


def _project(bench: Bench, folder: str, sources: int, runs: int) -> Project:
    project = Project.written(bench.folder(folder), [_source(n) for n in range(sources)])
    (project.root / ".env").write_text("SHOP_TOKEN=abc\nSHOP_HOST=db.example.com\n")
    (project.root / ".env").chmod(0o600)
    for n in range(sources):
        (project.root / "custom_sources" / f"shop_{n}.py").write_text(_MODULE.format(n=n))
    _note_runs(project, sources, runs)
    return project


_MODULE = """\
import dlt


@dlt.source
def shop_{n}(token: str = dlt.secrets.value, pages: int = 3, since: str = "2024-01-01"):
    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(updated=dlt.sources.incremental("updated_at", initial_value=since)):
        yield from ({{"id": page, "updated_at": "2024-05-01"}} for page in range(pages))

    @dlt.resource(write_disposition="replace")
    def customers():
        yield {{"id": {n}}}

    return orders, customers
"""


def _source(n: int) -> dict[str, Any]:
    """About twelve lines of `sources.yml`; of every five sources two come from the registry."""
    cursor = {"write_disposition": "merge", "primary_key": "id", "cursor": {"field": "updated_at", "lag": 3600}}
    entry: dict[str, Any] = {"name": f"source_{n}", "description": f"orders and customers of shop {n}"}
    if n % 5 == 3:
        block = {"host": "env:SHOP_HOST", "database": f"shop_{n}", "user": "reader"}
        return {**entry, "type": "postgres", "resources": {"orders": cursor, "customers": {}}, "postgres": block}
    if n % 5 == 4:
        return {**entry, "type": "files", "files": {"location": f"data/shop_{n}/*.csv", "table": "orders"}}
    return {
        **entry,
        "type": "dlt_native",
        "resources": {"orders": cursor, "customers": {}},
        "dlt_native": {
            "source_module": f"shop_{n}",
            "source_function": f"shop_{n}",
            "function_kwargs": {"token": "env:SHOP_TOKEN", "pages": 3, "since": "2024-01-01"},
        },
    }


def _note_runs(project: Project, sources: int, runs: int) -> None:
    """As dango notes them itself, each a run of one source in its turn."""
    from dango.history import History
    from dango.job import RunResult, TableResult

    history = History(project.state)
    begun = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
    for n in range(runs):
        name = f"source_{n % sources}"
        started = begun + dt.timedelta(minutes=n)
        tables = (TableResult("orders", 120, 1200 + n), TableResult("customers", 10, 10))
        history.record(
            RunResult(f"{started:%Y%m%d-%H%M%S}-{n:04x}", name, "ok", started, 1.5, "duckdb", f"raw_{name}", tables)
        )
