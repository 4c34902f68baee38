"""Work in a process of its own, so that whatever foreign code does stays in it.

A print, a `sys.exit`, a crash, a module that never ends: none of them reaches the process that plans. The child
gets its work on stdin (so that nothing shows in the list of processes) and answers in pickled values on what was
its stdout; whatever the work itself prints arrives as `Line`s.

Most of such a process's start is the import of dlt. Where many begin, `Workers` imports it once, and each is a fork.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from dango.workers.child import DONE, KILL
from dango.workers.forking import AVAILABLE, Gone, Template

Send = Callable[[Any], None]

PRELOADED = "dango.workers.preloaded"
"""What `Workers` import where syncs are done."""
_OF_SOURCES = ("dango.connectors.sql", "dango.connectors.files", "psycopg2")
"""What they import besides, where it is not known which sources come."""

# What is imported later is found as the parent would find it; the folder that `-c` adds is not searched.
_CHILD = (
    "import sys, pickle; request = sys.stdin.buffer; sys.path[:] = pickle.load(request); "
    "from dango.workers.forking import complete; from dango.workers.child import child; complete(child, request)"
)
# In an environment of a source's own dango is not installed; its code is found here, and nothing else of this Python.
_ELSEWHERE = (
    "import sys, pickle; from importlib import util; request = sys.stdin.buffer; pickle.load(request); "
    "spec = util.spec_from_file_location('dango', sys.argv[1] + '/__init__.py', "
    "submodule_search_locations=[sys.argv[1]]); "
    "sys.modules['dango'] = module = util.module_from_spec(spec); spec.loader.exec_module(module); sys.argv[1:] = []; "
    "from dango.workers.forking import complete; from dango.workers.child import child; complete(child, request)"
)
_DANGO = Path(__file__).parents[1]
_FORKED = "dango.workers.child:forked"
_LONGEST_LINE = 64 * 1024
_SECONDS_TO_END = 1.0
_END = object()


@dataclass(frozen=True, slots=True)
class Line:
    """A line that the work printed, or that Python did on its behalf."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last value of every child: how its process ended, and the last lines that it printed."""

    code: int
    tail: tuple[str, ...]
    done: bool = True
    """Whether the work came to its end; a process may also end itself with exit code 0."""

    def __str__(self) -> str:
        if self.code >= 0:
            return f"its process ended with exit code {self.code}"
        try:
            return f"its process was ended by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"its process was ended by signal {-self.code}"


class Process(Protocol):
    """The part of `subprocess.Popen` that a process must have."""

    @property
    def pid(self) -> int:
        """Its number, and that of the group of what it starts."""
        ...

    stdin: Any
    stdout: Any
    stderr: Any

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises `subprocess.TimeoutExpired`."""
        ...

    def poll(self) -> int | None:
        """The exit code; None before the end."""
        ...

    def terminate(self) -> None:
        """Asks it to end."""
        ...


class Workers:
    """Processes that end together, and that begin quickly where many of them do the same.

    Args:
        imported: a module that they all need; without one each begins from nothing.
        first: whether this process has done nothing yet.
    """

    def __init__(self, imported: str = "", *, first: bool = False) -> None:
        self._imported = imported
        self._template = Template(imported, _FORKED, os.environ, first=first) if imported and AVAILABLE else None
        self._expected: tuple[str, ...] | None = _OF_SOURCES
        # One alone imports what it finds that it needs; where there is a second, there are several.
        self._several = self._asked = False
        self._living: set[Process] = set()
        self._turn = threading.Lock()
        self._closed = False

    @property
    def template(self) -> int:
        """The number of the process from which they are forked; 0 where there is none."""
        return self._template.pid if self._template else 0

    def expect(self, modules: Iterable[str] | None, *, several: bool) -> None:
        """Says which modules the processes to come import, as far as they are known and take their time.

        Args:
            modules: their names; None where they load no rows, and each imports what it needs.
            several: whether it is known that several come, so that the first waits until these are imported, once.
        """
        self._expected, self._several = None if modules is None else (*modules,), several

    @contextmanager
    def process(self, folder: Path, environment: Mapping[str, str], python: Path | None = None) -> Iterator[Process]:
        """A process, which reads its work from its stdin; it ends with the block.

        Args:
            folder: its current folder.
            environment: its variables.
            python: the interpreter of another environment than this.

        Raises:
            Closed: when no process begins any more.
        """
        with self._turn:
            if self._closed:
                raise Closed
            process = (None if python else self._forked(environment)) or _spawned(folder, environment, python)
            self._living.add(process)
        try:
            yield process
        finally:
            _end(process)
            self._living.discard(process)

    def _forked(self, environment: Mapping[str, str]) -> Process | None:
        if self._template is None:
            return None
        self._several, self._asked = self._several or self._asked, True
        if not self._template.fits(environment):
            self._template.close()
            self._template = Template(self._imported, _FORKED, environment)
        try:
            return self._template.fork(self._expected if self._several else None)
        except Gone:
            # What it failed to import, the process that begins from nothing will say.
            self._template = None
            return None

    def close(self) -> None:
        """Ends all processes; returns when they have ended, within about a second."""
        with self._turn:
            self._closed = True
        _end(*self._living)
        if self._template is not None:
            self._template.close()


_begun: list[Workers] = []


def begin() -> Workers:
    """Begins the workers of the command that is about to run, before it asks for them."""
    workers = Workers(PRELOADED, first=True)
    _begun.append(workers)
    return workers


def preloaded() -> Workers:
    """Workers for syncs: those that have begun, or new ones."""
    return _begun.pop() if _begun else Workers(PRELOADED)


class Closed(Exception):
    """No process begins any more."""


def isolated(
    work: str,
    payload: Any,
    *,
    folder: Path,
    environment: Mapping[str, str],
    workers: Workers | None = None,
    python: Path | None = None,
) -> Generator[Any, None, None]:
    """Runs a function, called with `payload` and `send`, in a process of its own.

    Args:
        work: the function as `module:name`, so that this process need not import it.
        payload: its argument; must pickle.
        folder: the current folder of the process.
        environment: the whole environment of the process.
        workers: where the process begins, if it is one of many. Without them, where those do that the command has
            begun.
        python: the interpreter of another environment than this, in which what dango is made of is installed.

    Yields:
        what the work sends, a `Line` for each line that it prints, and at last `Ended`. Closing the generator ends
        the process, within about a second.
    """
    values: queue.SimpleQueue[Any] = queue.SimpleQueue()
    tail: deque[str] = deque(maxlen=60)
    workers = workers or (_begun[-1] if _begun else Workers())
    with workers.process(folder, environment, python) as process, _closing(process.stdin):
        readers = [
            threading.Thread(target=_read_values, args=(process.stdout, values), daemon=True),
            threading.Thread(target=_read_lines, args=(process.stderr, values, tail), daemon=True),
        ]
        # A process that the child leaves behind may hold both pipes open for ever: the child's end counts, not theirs.
        watcher = threading.Thread(target=_note_end, args=(process, readers, values), daemon=True)
        for thread in (*readers, watcher):
            thread.start()
        _send_work(process.stdin, folder, environment, work, payload)
        done = False
        while (value := values.get()) is not _END:
            if value == DONE:
                done = True
            else:
                yield value
        code = _wait(process)
        readers[1].join(_SECONDS_TO_END)
        while not values.empty():
            if (value := values.get()) not in (_END, DONE):
                yield value
        yield Ended(code, tuple(tail), done)
    watcher.join(_SECONDS_TO_END)


def _spawned(folder: Path, environment: Mapping[str, str], python: Path | None) -> Process:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD] if python is None else [python, "-I", "-c", _ELSEWHERE, str(_DANGO)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        # Not the rest, which the child takes over from its stdin: what a process begins with, its neighbours may read.
        env={**os.environ, **{k: v for k, v in environment.items() if k.startswith("PYTHON")}},
        # Ctrl-C on the terminal is for the parent alone, which then decides.
        start_new_session=True,
    )


def _send_work(stdin: IO[bytes], folder: Path, environment: Mapping[str, str], work: str, payload: Any) -> None:
    try:
        pickle.dump([path or str(Path.cwd()) for path in sys.path], stdin)
        pickle.dump((str(folder), dict(environment), work), stdin)
        pickle.dump(payload, stdin)
        stdin.flush()
    except BrokenPipeError:
        # The child ended before it read; its exit code and last lines say why.
        return


def _read_values(stream: IO[bytes], values: queue.SimpleQueue[Any]) -> None:
    try:
        with stream:
            while True:
                values.put(pickle.load(stream))
    except (EOFError, pickle.UnpicklingError, OSError, ValueError, AttributeError, ImportError, IndexError):
        # The child has ended, perhaps in the middle of a value; or it sent what is no value of ours.
        values.put(_END)


def _read_lines(stream: IO[bytes], values: queue.SimpleQueue[Any], tail: deque[str]) -> None:
    with stream:
        while line := stream.readline(_LONGEST_LINE):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            tail.append(text)
            values.put(Line(text))


def _note_end(process: Process, readers: list[threading.Thread], values: queue.SimpleQueue[Any]) -> None:
    process.wait()
    for reader in readers:
        reader.join(_SECONDS_TO_END)
    values.put(_END)


def _wait(process: Process) -> int:
    """The exit code; a process whose work is done but which does not end (a thread that waits) is ended."""
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        _end(process)
        return 0


def _end(*processes: Process) -> None:
    """Ends processes, and what they started and left behind."""
    end = time.monotonic() + _SECONDS_TO_END
    try:
        there = [process for process in processes if _signal(process, signal.SIGTERM)]
        while there and time.monotonic() < end:
            time.sleep(0.02)
            there = [process for process in there if _signal(process, 0)]
    finally:
        # Whoever is deaf to the first, be it a child of the process that outlives it.
        for process in processes:
            _signal(process, KILL)
        for process in processes:
            process.wait()


def _signal(process: Process, number: int) -> bool:
    """Signals the process and what it started; whether any of them is there."""
    if not hasattr(os, "killpg"):
        process.terminate()
        return process.poll() is None
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS: the latter for a group of zombies
        return False
    return True


@contextmanager
def _closing(stream: IO[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        # Closing flushes; a child that ended has no reader any more.
        with suppress(OSError):
            stream.close()
