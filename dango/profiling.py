"""Where the time of a sync goes, by looking at its threads from time to time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from dango.job import Kind, Profile, Step
from dango.paths import TablePath

_SECONDS_BETWEEN = 0.005

# The innermost module that is named here says what a thread does; what C code does, its caller says.
_KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("network", ("socket", "ssl", "http.client", "urllib3", "requests", "aiohttp", "paramiko", "botocore")),
    ("database", ("sqlalchemy", "psycopg2", "pymysql", "dango.connectors.sql_tables")),
    ("parse", ("json", "orjson", "csv", "openpyxl", "dlt.common.json", "dango.connectors.file_formats")),
    ("write", ("pyarrow.parquet", "dlt.common.data_writers", "dlt.common.libs.pyarrow")),
    ("normalize", ("dlt.normalize", "dlt.common.normalizers", "dlt.common.schema", "dango.columnar")),
    (
        "load",
        (
            "dlt.destinations",
            "dlt.load",
            "dango.load.loading",
            "dango.load.copying",
            "dango.load.merging",
            "dango.load.dataset",
        ),
    ),
    ("source", ("custom_sources", "dlt.sources", "dango.connectors", "dlt.extract")),
    ("import", ("importlib", "zipimport")),
    ("dlt", ("dlt",)),
)
_WAITING = ("threading", "queue", "concurrent.futures", "selectors", "multiprocessing", "dango.workers.processes")


class Sampler:
    """Counts what the threads of this process do, until it is stopped."""

    def __init__(self) -> None:
        self._seconds: dict[Kind, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts during the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    @property
    def seconds(self) -> dict[Kind, float]:
        """How long each kind of work took, the longest first; threads that work at once share the time."""
        longest = sorted(self._seconds.items(), key=lambda item: -item[1])
        return {kind: round(spent, 3) for kind, spent in longest}

    def _sample(self) -> None:
        me, last = threading.get_ident(), time.monotonic()
        while not self._stop.wait(_SECONDS_BETWEEN):
            frames = sys._current_frames()
            kinds = [kind(frame) for thread, frame in frames.items() if thread != me]
            # What waits for another thread does nothing, unless all of them wait.
            busy: list[Kind] = [found for found in kinds if found != "wait"] or ["wait"]
            now = time.monotonic()
            for found in busy:
                self._seconds[found] = self._seconds.get(found, 0.0) + (now - last) / len(busy)
            last = now


def kind(frame: FrameType | None) -> Kind:
    """What the thread with this innermost frame does."""
    if frame is not None and _within(_module(frame), _WAITING):
        return "wait"
    while frame is not None:
        module = _module(frame)
        for found, modules in _KINDS:
            if _within(module, modules):
                return found
        frame = frame.f_back
    return "other"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _within(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


class Steps:
    """How long each step of a job takes, by the events that tell of its beginning."""

    def __init__(self, first: Step) -> None:
        self._seconds: dict[Step, float] = {}
        self._step, self._since = first, time.monotonic()

    def note(self, step: Step) -> None:
        """A step begins, and the one before it has ended, if it is another."""
        if step in (self._step, "log"):
            return
        now = time.monotonic()
        self._seconds[self._step] = round(self._seconds.get(self._step, 0.0) + now - self._since, 3)
        self._step, self._since = step, now

    def ended(self) -> dict[Step, float]:
        """Seconds of each step, in their order."""
        self.note("queued")
        return self._seconds


def profile(steps: Mapping[Step, float], kinds: Mapping[Kind, float], paths: Iterable[TablePath]) -> Profile:
    """What is told of a sync: where its time went, which ways its tables took, and what would make it faster."""
    taken = tuple(paths)
    return Profile(steps, kinds, taken, tuple(_advice(kinds, taken)))


def _advice(seconds: Mapping[Kind, float], paths: Iterable[TablePath]) -> Iterator[str]:
    whole = sum(seconds.values()) or 1.0
    if seconds.get("network", 0.0) + seconds.get("wait", 0.0) > 0.5 * whole:
        yield (
            "most of the time is spent waiting for the network: larger pages, a cursor (`resources:` … `cursor:`), or"
            " `parallelized=True` for the resources of a source of your own"
        )
    if seconds.get("source", 0.0) > 0.5 * whole:
        yield "most of the time is spent in the source's own code: yield lists of some thousand rows, or Arrow tables"
    for path in paths:
        if path.reason:
            yield f"{path.table} was read as {path.path}: {path.reason}"
