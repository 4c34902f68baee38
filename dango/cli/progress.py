"""A run while it goes on, for people and for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dango.cli.show import err, records, status
from dango.job import Event, Job, RunResult, as_json
from dango.log import text

_RESOURCES_SHOWN = 20
"""Of a source while it runs: those that began last."""


class Progress:
    """A run while it goes on: a moving table on a terminal, a line a source elsewhere, JSON lines if asked for."""

    def __init__(self, jobs: Sequence[Job], verbose: bool, log_format: str) -> None:
        self._verbose = verbose
        self._as_json = log_format == "json"
        self._live = (
            Live(console=err, transient=True, refresh_per_second=8) if err.is_terminal and not self._as_json else None
        )
        self._step: dict[str, str] = {job.source.name: "queued" for job in jobs}
        self._rows: dict[str, dict[str, int]] = {job.source.name: {} for job in jobs}
        self._since: dict[str, float] = {}

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def event(self, event: Event) -> None:
        """Shows an event."""
        if self._as_json:
            self._line(json.dumps(as_json(event)))
        elif event.step == "log":
            # What a source prints is for its author's eyes: it is in the log, and on stderr with -v.
            if self._verbose:
                self._line(text(event))
        else:
            self._note(event)

    def result(self, result: RunResult) -> None:
        """Shows that a source has ended."""
        self._step.pop(result.source, None)
        if self._as_json:
            # Tracebacks are in the log and in the history.
            brief = replace(
                result,
                error=result.error and replace(result.error, traceback=""),
                skipped=tuple(replace(one, error=replace(one.error, traceback="")) for one in result.skipped),
                failed=tuple(replace(record, stack_trace="") for record in result.failed),
            )
            self._line(json.dumps(as_json(brief)))
            return
        failed = f", {records(result.failed_count)} failed" if result.failed_count else ""
        line = f"{result.source}: {result.status}, {result.rows:,} rows in {result.seconds:.1f} s{failed}"
        if self._live:
            self._live.console.print(
                Text.assemble(
                    f"{result.source}: ",
                    status(result.status),
                    line[len(f"{result.source}: {result.status}") :],
                )
            )
            self._live.update(self._grid())
        else:
            self._line(line)

    def _note(self, event: Event) -> None:
        if self._step.get(event.source) != event.step:
            if self._verbose and not self._live:
                self._line(text(event))
            self._since[event.source] = time.monotonic()
        self._step[event.source] = event.step
        if event.resource:
            self._rows[event.source][event.resource] = event.rows
        if self._live:
            self._live.update(self._grid())

    def _line(self, line: str) -> None:
        (self._live.console if self._live else err).print(Text(line))

    def _grid(self) -> Table:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("source", "step", "resource"):
            grid.add_column(column)
        for column in ("rows", "rows/s"):
            grid.add_column(column, justify="right")
        for source, step in self._step.items():
            seconds = time.monotonic() - self._since.get(source, time.monotonic())
            counted = self._rows[source] or {"": 0}
            for number, (resource, rows) in enumerate([*counted.items()][-_RESOURCES_SHOWN:]):
                speed = f"{rows / seconds:,.0f}" if step == "extract" and seconds > 0.2 else ""
                grid.add_row(
                    escape(source) if number == 0 else "", step if number == 0 else "", escape(resource),
                    f"{rows:,}" if resource else "", speed,
                )  # fmt: skip
        return grid
