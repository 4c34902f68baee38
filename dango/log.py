"""What happened in a run, line by line, in `.dango/logs/<run>.log`."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from dango.job import Event, RunResult, as_json

KEPT = 30


class Log:
    """The log of one run; the logs of the newest `KEPT` runs stay. What a full disk has no room for is left out."""

    def __init__(self, folder: Path, run: str, form: str) -> None:
        self._file = folder / f"{run}.log"
        self._form = form
        self._out: IO[str]

    def __enter__(self) -> Log:
        folder = self._file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What sources say stands in it.
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._out = os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace")
        # A run's name begins with its time, so names sort by age.
        for old in sorted(folder.glob("*.log"))[:-KEPT]:
            # Where the clock was set back the newest is not the last of them.
            if old != self._file:
                old.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with suppress(OSError):
            self._out.close()

    def event(self, event: Event) -> None:
        """Notes an event."""
        self._write(event, text(event), event.at.isoformat(timespec="milliseconds"))

    def result(self, result: RunResult) -> None:
        """Notes how a source ended, with the whole traceback of an error."""
        said = f"{result.source}: {result.status}, {result.rows} rows in {result.seconds} s"
        if result.error:
            said += f"\n{result.error}\n{result.error.traceback}"
        self._write(result, said.rstrip(), result.started.isoformat(timespec="milliseconds"))

    def _write(self, value: Event | RunResult, said: str, at: str) -> None:
        line = json.dumps(as_json(value)) if self._form == "json" else f"{at} {said}"
        with suppress(OSError):
            self._out.write(line + "\n")
            self._out.flush()


def text(event: Event) -> str:
    """An event as one line for people."""
    parts = [f"{event.source}:", "" if event.step == "log" else event.step, event.resource, event.message]
    rows = f"{event.rows:,} rows" if event.resource else ""
    return " ".join(part for part in (*parts, rows) if part)
