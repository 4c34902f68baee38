"""What was run and how it ended: one SQLite file in `.dango/`, written by the process that plans."""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dango.errors import DangoError
from dango.job import FailedRecord, RunError, RunResult, Skipped, TableResult, as_json
from dango.lock import alive, held

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run TEXT NOT NULL, source TEXT NOT NULL, status TEXT NOT NULL, started TEXT NOT NULL, seconds REAL NOT NULL,
    rows INTEGER NOT NULL, result TEXT NOT NULL, pid INTEGER NOT NULL, PRIMARY KEY (run, source)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_source ON runs (source, started);
CREATE INDEX IF NOT EXISTS runs_by_start ON runs (started);
"""
_WRITE = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class History:
    """The runs of a project. A run that is noted as under way while nobody works on it is read as `crashed`."""

    def __init__(self, state: Path) -> None:
        self.file = state / "history.sqlite"
        self._locks = state / "locks"

    def record(self, result: RunResult) -> None:
        """Notes a result; a later one of the same run and source takes its place."""
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        with self._open() as database:
            database.execute(
                _WRITE,
                (
                    *(result.run, result.source, result.status, result.started.isoformat()),
                    *(result.seconds, result.rows, json.dumps(_stored(result)), os.getpid()),
                ),
            )

    def runs(self, limit: int = 20) -> list[list[RunResult]]:
        """The newest runs, newest first, each with the results of its sources."""
        runs = self._read("SELECT run, min(started) AS s FROM runs GROUP BY run ORDER BY s DESC LIMIT ?", limit)
        return [self.run(run) for run, _ in runs]

    def run(self, run: str) -> list[RunResult]:
        """The results of one run, or of the only one whose name begins so. Empty where there is none."""
        names = [
            name
            for (name,) in self._read(
                "SELECT DISTINCT run FROM runs WHERE run = ? OR substr(run, 1, length(?)) = ?", run, run, run
            )
        ]
        if run not in names and len(names) != 1:
            return []
        rows = self._read(
            "SELECT result, pid FROM runs WHERE run = ? ORDER BY started, source",
            run if run in names else names[0],
        )
        return [self._judged(_result(json.loads(text)), pid) for text, pid in rows]

    def last(self) -> dict[str, RunResult]:
        """The newest result of each source."""
        rows = self._read(
            "SELECT result, pid FROM runs AS r WHERE started = (SELECT max(started) FROM runs WHERE source = r.source)"
        )
        results = (self._judged(_result(json.loads(text)), pid) for text, pid in rows)
        return {result.source: result for result in results}

    def lock_file(self, source: str) -> Path:
        """The lock that whoever works on the source holds."""
        return self._locks / f"{source}.lock"

    def _judged(self, result: RunResult, pid: int) -> RunResult:
        # The planner notes the end of everything it began, so what has none ended with it.
        if result.status != "running" or (alive(pid) if os.name == "posix" else held(self.lock_file(result.source))):
            return result
        error = RunError("Crashed", "the process ended without a word", "what had begun is taken up by the next sync")
        return replace(result, status="crashed", error=error)

    def _read(self, query: str, *values: Any) -> list[Any]:
        if not self.file.exists():
            return []
        with self._open() as database:
            return database.execute(query, values).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self.file, timeout=30)
            try:
                with database:
                    database.executescript(_SCHEMA) if os.access(self.file, os.W_OK) else None
                    yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            raise DangoError(
                f"the history {self.file} cannot be used: {error}",
                "it holds no data of yours; move it away and a new one is made",
            ) from error


def _stored(result: RunResult) -> dict[str, Any]:
    # What people see is rounded.
    # Where the time went was for those who asked.
    return {**as_json(replace(result, profile=None)), "started": result.started.isoformat()}


def _result(stored: dict[str, Any]) -> RunResult:
    for key in ("rows", "profile"):
        stored.pop(key, None)
    tables = tuple(
        TableResult(**{key: _unlisted(value) for key, value in table.items()}) for table in stored.pop("tables")
    )
    failed = tuple(FailedRecord(**record) for record in stored.pop("failed", ()))
    skipped = tuple(Skipped(one["resource"], RunError(**one["error"])) for one in stored.pop("skipped", ()))
    error = stored.pop("error")
    started = dt.datetime.fromisoformat(stored.pop("started"))
    return RunResult(
        **stored,
        started=started,
        tables=tables,
        skipped=skipped,
        failed=failed,
        error=RunError(**error) if error else None,
    )


def _unlisted(value: Any) -> Any:
    # JSON has no tuples.
    return tuple(value) if isinstance(value, list) else value
