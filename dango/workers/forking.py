"""Processes that begin quickly: forks of one that has imported already what all of them need.

The process that plans never forks when it has threads. It starts a template, which imports and then does nothing
but fork when it is asked to, and tells how its children ended. Requests, with the three streams of the child, and
answers travel over a socket; the end of one side is the end of the other.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import os
import pickle
import queue
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import ExitStack, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn, cast

_TEMPLATE = (
    "import sys, pickle; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from dango.workers.forking import serve; serve(*sys.argv[1:])"
)
# What libraries read while they are imported, if they read it at all; the rest of the environment is the child's own.
_READ_AT_IMPORT = ("ARROW_", "DLT_", "FSSPEC_", "LD_", "MALLOC_", "OMP_", "OPENBLAS_", "PYDANTIC_", "PYTHON")
_READ_LATER = ("DLT_PROJECT_DIR", "DLT_DATA_DIR")
_LONGEST = 1 << 16

AVAILABLE = sys.platform == "linux"
"""Whether this system's libraries bear a fork; macOS's own do not."""


class Gone(Exception):
    """The template has ended; nothing begins from it any more."""


class Fork:
    """A child of the template, with the part of `subprocess.Popen` that we need.

    Attributes:
        pid: its number, and that of the group of what it starts.
        stdin: takes what it reads; `stdout` and `stderr` give what it writes.
    """

    def __init__(self, pid: int, code: Future[int], streams: Sequence[IO[bytes]]) -> None:
        self.pid = pid
        self._code = code
        self.stdin, self.stdout, self.stderr = streams

    def poll(self) -> int | None:
        """As `wait`; None before the end."""
        return self._code.result() if self._code.done() else None

    def terminate(self) -> None:
        """Asks it to end."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; minus the signal's number if one ended it. Raises `subprocess.TimeoutExpired`."""
        try:
            return self._code.result(timeout)
        except NotYet as error:
            raise subprocess.TimeoutExpired([], timeout or 0.0) from error


class Template:
    """The process that forks.

    Args:
        imported: the module that its children need. If it has a function `more`, that is called with the modules that
            a child may need besides, before it begins.
        work: `module:name` of the function that each child calls with its stdin.
        environment: of the template.
        first: whether it is begun before this process does anything else. Then it is a fork of it, which is there
            sooner than a Python that begins from nothing.
    """

    def __init__(self, imported: str, work: str, environment: Mapping[str, str], *, first: bool = False) -> None:
        self._environment = _at_import(environment)
        self._begun: queue.SimpleQueue[tuple[int, Future[int]] | None] = queue.SimpleQueue()
        self._codes: dict[int, Future[int]] = {}
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = [path or str(Path.cwd()) for path in sys.path]
        with theirs:
            self._process: subprocess.Popen[bytes] | _Forked
            if first and threading.active_count() == 1:
                self._process = _Forked(self._channel, theirs, path, imported, work)
            else:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _TEMPLATE, str(theirs.fileno()), imported, work],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # Not the rest, with secrets in it: what a process begins with, its neighbours may read.
                    env={**os.environ, **self._environment},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
                assert self._process.stdin
                with self._process.stdin as stdin:
                    pickle.dump(path, stdin)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether what it has imported would be the same in a process of this environment."""
        return self._environment == _at_import(environment)

    def fork(self, more: Iterable[str] | None = None) -> Fork:
        """A child; not to be called by two threads at once.

        Args:
            more: modules that it and those to come may need; None where it is not to wait for any.

        Raises:
            Gone: when nothing begins any more.
        """
        pairs = [os.pipe() for _ in range(3)]
        (stdin, to_stdin), *outputs = pairs
        theirs = [stdin, *(written for _, written in outputs)]
        try:
            with ExitStack() as handed:
                for number in theirs:
                    handed.callback(os.close, number)
                words = ["fork"] if more is None else ["more", *more]
                socket.send_fds(self._channel, [" ".join(words).encode()], theirs)
            begun = self._begun.get()
        except OSError:
            begun = None
        if begun is None:
            for number in (to_stdin, *(read for read, _ in outputs)):
                os.close(number)
            raise Gone
        streams = [os.fdopen(to_stdin, "wb"), *(os.fdopen(read, "rb") for read, _ in outputs)]
        return Fork(*begun, cast(list[IO[bytes]], streams))

    def close(self) -> None:
        """Ends the template. Its children go on, but nobody hears of their end."""
        with suppress(OSError):  # it has ended already
            self._channel.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        with self._channel as channel, suppress(ConnectionError):
            while message := channel.recv(_LONGEST):
                what, pid, *code = message.split()
                if what == b"begun":
                    self._codes[int(pid)] = Future()
                    self._begun.put((int(pid), self._codes[int(pid)]))
                else:
                    self._codes.pop(int(pid)).set_result(int(code[0]))
        for unknown in self._codes.values():
            unknown.set_result(-signal.SIGKILL)
        self._begun.put(None)


class _Forked:
    """A template that is a fork of this process, with the part of `subprocess.Popen` that we need."""

    def __init__(self, ours: socket.socket, theirs: socket.socket, path: list[str], imported: str, work: str) -> None:
        self.pid = os.fork()
        self._ended = False
        if self.pid == 0:
            try:
                ours.close()
                # Above the streams, whose numbers it may have where they were closed.
                number = fcntl.fcntl(theirs.detach(), fcntl.F_DUPFD_CLOEXEC, 3)
                _stand_alone(path)
                serve(str(number), imported, work)
            finally:
                os._exit(0)

    def kill(self) -> None:
        """Ends it."""
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Returns when it has ended."""
        if not self._ended:
            os.waitpid(self.pid, 0)
            self._ended = True


def _at_import(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(_READ_AT_IMPORT) and k not in _READ_LATER}


# --- the template's side ------------------------------------------------------------------------------


def serve(number: str, imported: str, work: str) -> None:
    """Imports, then forks a child for each request that comes over the socket of this number."""
    import pkgutil

    # What is imported stays; and a child that looked at it for garbage would copy every page.
    gc.disable()
    more = getattr(pkgutil.resolve_name(imported), "more", None)
    function: Callable[[IO[bytes]], object] = pkgutil.resolve_name(work)
    gc.freeze()
    gc.enable()
    wake, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: set[int] = set()
    had: set[frozenset[str]] = set()
    with socket.socket(fileno=int(number)) as channel, selectors.DefaultSelector() as ready:
        ready.register(channel, selectors.EVENT_READ)
        ready.register(wake, selectors.EVENT_READ)
        while True:
            asked = [key.fileobj for key, _ in ready.select()]
            if wake in asked:
                wake.recv(4096)
            for pid in [*children]:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    children.remove(pid)
                    channel.send(b"ended %d %d" % (pid, os.waitstatus_to_exitcode(status)))
            if channel in asked:
                message, streams, *_ = socket.recv_fds(channel, _LONGEST, 3)
                if not message:
                    return
                what, *names = message.decode().split()
                if what == "more" and more is not None and (wanted := frozenset(names)) not in had:
                    more(wanted)
                    had.add(wanted)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _become(streams, (channel.fileno(), wake.fileno(), woken.fileno()), function)
                for stream in streams:
                    os.close(stream)
                # Whoever asked may signal the group at once.
                os.setpgid(pid, pid)
                children.add(pid)
                channel.send(b"begun %d" % pid)


def _stand_alone(path: list[str]) -> None:
    """What a Python that begins with `-c` has: a session of its own, no streams, and nothing of another's program."""
    os.setsid()
    # Whoever has begun this process may have closed its streams.
    while (null := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    sys.path[:] = path
    sys.argv[:] = ["-c"]
    sys.modules["__main__"] = ModuleType("__main__")


def _become(streams: Sequence[int], others: Sequence[int], work: Callable[[IO[bytes]], object]) -> NoReturn:
    """A process of its own: a group, streams, and nothing of the template's."""
    os.setpgid(0, 0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for number in (*streams, *others):
        os.close(number)
    sys.argv[1:] = []
    complete(work, sys.stdin.buffer)


def complete(work: Callable[..., object], *arguments: Any) -> NoReturn:
    """Does the work and ends the process as Python would, but for taking every module apart, which nobody needs."""
    code = 0
    try:
        work(*arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 - as Python does
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # what Python calls: it waits for threads
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)
