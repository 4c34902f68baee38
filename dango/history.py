"""What was run and how it ended: one SQLite file in `.dango/`, written by the process that plans."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from dango.errors import DangoError, page_of
from dango.job import FailedRecord, ProcessorResult, RunError, RunResult, Skipped, Status, TableResult
from dango.lock import alive, held

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS runs (
    run TEXT NOT NULL, source TEXT NOT NULL, status TEXT NOT NULL, started TEXT NOT NULL, seconds REAL NOT NULL,
    rows INTEGER NOT NULL, result TEXT NOT NULL, pid INTEGER NOT NULL, PRIMARY KEY (run, source)) WITHOUT ROWID;
DROP INDEX IF EXISTS runs_by_start;
DROP INDEX IF EXISTS runs_by_source;
CREATE TABLE IF NOT EXISTS turns (turn INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
INSERT OR IGNORE INTO turns (run) SELECT run FROM runs GROUP BY run ORDER BY min(started);
COMMIT;
"""
# In turns, since a clock that is set back lets a later run start earlier.
_HAS_TURNS = "SELECT 1 FROM sqlite_master WHERE name = 'turns'"
# Of the first hundreds of runs, at once: a full disk has room for how they end, and `.dango/` keeps its size.
_ROOM = "BEGIN IMMEDIATE; CREATE TABLE room AS SELECT zeroblob(131072); DROP TABLE room; COMMIT;"
_OWN_COLUMN = ("run", "source", "status", "started", "seconds")
"""The fields of a result that are not in the column `result`."""
_RUN = "SELECT run, source, status, started, seconds, result, pid FROM runs WHERE run = ? ORDER BY started, source"
_NEWEST_RUNS = """
SELECT run, source, status, started, seconds, result, pid FROM runs
    JOIN (SELECT run, turn FROM turns ORDER BY turn DESC LIMIT ?) USING (run)
ORDER BY turn DESC, started, source
"""
_LAST_OF_EACH = """
SELECT run, source, status, started, seconds, result, pid FROM runs
    JOIN turns USING (run)
    JOIN (SELECT source, max(turn) AS turn FROM runs JOIN turns USING (run) GROUP BY source) USING (source, turn)
"""
_TURN = "INSERT OR IGNORE INTO turns (run) VALUES (?)"
_WRITE = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class History:
    """The runs of a project. A run that is noted as under way while nobody works on it is read as `crashed`."""

    def __init__(self, state: Path) -> None:
        self.file = state / "history.sqlite"
        self._locks = state / "locks"

    def record(self, *results: RunResult) -> None:
        """Notes results, all or none; a later one of the same run and source takes its place."""
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        if is_new := not self.file.exists():
            # SQLite makes its own files like this one: for its owner alone, wherever the folder may be copied to.
            self.file.touch(mode=0o600)
        with self._open() as database:
            database.executescript(_ROOM) if is_new else None
            database.executemany(_TURN, ((result.run,) for result in results))
            database.executemany(_WRITE, map(_row, results))

    def runs(self, limit: int = 20) -> list[list[RunResult]]:
        """The newest runs, newest first, each with the results of its sources."""
        rows = self._read(_NEWEST_RUNS, limit)
        return [[self._result(*row) for row in of_run] for _, of_run in groupby(rows, key=itemgetter(0))]

    def run(self, run: str) -> list[RunResult]:
        """The results of one run, or of the only one whose name begins so. Empty where there is none."""
        # The last character there is ends what begins so; of many two are enough to know that it is not one.
        found = self._read(
            "SELECT DISTINCT run FROM runs WHERE run >= ? AND run <= ? ORDER BY run LIMIT 2", run, f"{run}\U0010ffff"
        )
        names = [name for (name,) in found]
        if run not in names and len(names) != 1:
            return []
        return [self._result(*row) for row in self._read(_RUN, names[0])]

    def last(self) -> dict[str, RunResult]:
        """The newest result of each source."""
        results = (self._result(*row) for row in self._read(_LAST_OF_EACH))
        return {result.source: result for result in results}

    def lock_file(self, source: str) -> Path:
        """The lock that whoever works on the source holds."""
        return self._locks / f"{source}.lock"

    def _result(
        self, run: str, source: str, status: Status, started: str, seconds: float, stored: str, pid: int
    ) -> RunResult:
        own = {**json.loads(stored), "run": run, "source": source, "status": status, "seconds": seconds}
        result = _result(own, dt.datetime.fromisoformat(started))
        # The planner notes the end of everything it began, so what has none ended with it.
        if result.status != "running" or (alive(pid) if os.name == "posix" else held(self.lock_file(result.source))):
            return result
        hint = "what had begun is taken up by the next sync"
        error = RunError("Crashed", "the process ended without a word", hint, docs=page_of("Crashed"))
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
                    if not database.execute(_HAS_TURNS).fetchone():
                        database.executescript(_SCHEMA)
                    yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            # What a system refuses is one kind of them; any other is of what is in the file.
            refused = isinstance(error, sqlite3.OperationalError)
            raise DangoError(
                f"the history {self.file} cannot be used: {error}",
                "it needs room on the disk, and the right to write in .dango/; what is loaded stays so"
                if refused
                else "it holds no data of yours; move it away and a new one is made",
            ) from error


def _row(result: RunResult) -> tuple[object, ...]:
    begun = result.started.isoformat()
    return (
        *(result.run, result.source, result.status, begun),
        *(result.seconds, result.rows, _stored(result), os.getpid()),
    )


def _stored(result: RunResult) -> str:
    """What the other columns do not say, as JSON."""
    # Where the time went was for those who asked.
    told = {key: value for key, value in _brief(replace(result, profile=None)).items() if key not in _OWN_COLUMN}
    return json.dumps(told, separators=(",", ":"))


def _brief(value: Any) -> Any:
    """Without what is as by default, which is most of a result."""
    if dataclasses.is_dataclass(value):
        told = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {field.name: _brief(held) for field, held in told if held != field.default}
    return [_brief(item) for item in value] if isinstance(value, tuple) else value


def _result(stored: dict[str, Any], started: dt.datetime) -> RunResult:
    # Of an older dango, which wrote all of it.
    for key in ("rows", "profile"):
        stored.pop(key, None)
    tables = tuple(
        TableResult(**{key: _unlisted(value) for key, value in table.items()}) for table in stored.pop("tables", ())
    )
    failed = tuple(FailedRecord(**record) for record in stored.pop("failed", ()))
    skipped = tuple(Skipped(one["resource"], RunError(**one["error"])) for one in stored.pop("skipped", ()))
    processors = tuple(
        ProcessorResult(**{key: _unlisted(value) for key, value in one.items()}) for one in stored.pop("processors", ())
    )
    error = stored.pop("error", None)
    known = {**stored, "started": started, "tables": tables, "skipped": skipped, "failed": failed}
    known["processors"] = processors
    return RunResult(**known, error=RunError(**error) if error else None)


def _unlisted(value: Any) -> Any:
    # JSON has no tuples.
    return tuple(value) if isinstance(value, list) else value
