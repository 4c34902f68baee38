"""How far a job is, from dlt's own counters."""

from __future__ import annotations

import time
from collections.abc import Callable

from dango.dlt_internals.names import Collector
from dango.job import Event, Step

_EVENTS_A_SECOND = 10


class Progress(Collector):
    """dlt's counters as events, at most ten a second."""

    def __init__(self, source: str, send: Callable[[Event], None]) -> None:
        self._source = source
        self._send = send
        self._now: Step = "resolve"
        self._rows: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def begin(self, step: Step) -> None:
        """Says that a step begins, and what the last one came to."""
        self._flush()
        self._now = step
        self._send(Event(self._source, step))

    def say(self, message: str) -> None:
        """A line for people."""
        self._send(Event(self._source, "log", message=message))

    def update(
        self, name: str, inc: int = 1, total: int | None = None, inc_total: int | None = None,
        message: str | None = None, label: str | None = None,
    ) -> None:  # fmt: skip
        """Called by dlt for every page of rows, by the table's name."""
        if self._now != "extract" or name == "Resources" or name.startswith("_dlt"):
            return
        self._rows[name] = self._rows.get(name, 0) + inc
        now = time.monotonic()
        if now - self._told.get(name, 0.0) >= 1 / _EVENTS_A_SECOND:
            self._told[name] = now
            self._send(Event(self._source, "extract", name, self._rows[name]))

    def _flush(self) -> None:
        for name, rows in self._rows.items():
            self._send(Event(self._source, self._now, name, rows))
        self._rows = {}

    def _start(self, step: str) -> None:
        """dlt's own steps are finer than what a person wants to see."""

    def _stop(self) -> None:
        """See `_start`."""
