"""Records that a source cannot make. A module without dependencies: sources and scripts may import it anywhere.

A source yields `Failed` in place of such a record, alone or in a page, or puts the making of each under a `guard`:

    for raw in page:
        with guard(raw):
            yield converted(raw)

Either way the other records are loaded, and the failed one goes to the table `_dango_errors`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any


class Failed:
    """A record that could not be made.

    Attributes:
        record: what it was to be made of.
        error: the exception, or text that says why; text alone where the value comes from another process.
        entity: what people call the record; empty to have it read from the record's key.
        message: the error in one piece, `type: text`.
        stack_trace: where the error was raised; for one that never was, the line that made this value.
        lines: file and line of each call on the way to the error, the innermost last.
    """

    __slots__ = ("entity", "error", "lines", "message", "record", "stack_trace")

    def __init__(self, record: Any, error: BaseException | str, entity: object = "") -> None:
        self.record = record
        self.error = error
        self.entity = "" if entity is None else text(entity)
        self.message = _message(error)
        raised = error.__traceback__ if isinstance(error, BaseException) else None
        if isinstance(error, BaseException) and raised is not None:
            self.lines = tuple((frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(raised))
            self.stack_trace = "".join(traceback.format_exception(type(error), error, raised))
        else:
            made = traceback.extract_stack(sys._getframe(1), limit=1)
            self.lines = tuple((frame.filename, frame.lineno or 0) for frame in made)
            self.stack_trace = "".join(traceback.format_list(made)) + self.message

    def __repr__(self) -> str:
        return f"Failed({self.entity!r}, {self.message!r})"

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        # Many exceptions cannot be pickled, and none keeps its traceback; what they say is in the other fields.
        return None, {**{name: getattr(self, name) for name in self.__slots__}, "error": self.message}


def guard(record: Any, entity: object = "") -> Guard:
    """Turns an error in the block into a `Failed` of this record; what comes after the block goes on.

    It does so while dango syncs the source, in any thread of that process and in `async` code. Elsewhere (a test, a
    script, a process that the source forks) nobody collects what failed, and the error passes as if there were no
    guard, so that nothing is lost without a word.

    What is no fault of a record passes always: the end of an iterator, the closing of a generator, Ctrl-C, `sys.exit`.
    So a block may `yield`: what the consumer does with the row happens outside of it. Only an exception that somebody
    throws into the generator (`generator.throw`, which dlt never does) would count as the record's.

    Args:
        record: what the block works on; it becomes the payload in `_dango_errors`.
        entity: what people call the record; empty to have it read from the record's key.
    """
    return Guard(record, entity)


class Guard:
    """What `guard` gives."""

    __slots__ = ("_entity", "_record")

    def __init__(self, record: Any, entity: object) -> None:
        self._record = record
        self._entity = entity

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # A loop over `next(pages)` ends by StopIteration; without it the loop would never end.
        if not isinstance(error, Exception) or isinstance(error, StopIteration | StopAsyncIteration):
            return False
        if not _collecting or _collecting[-1][0] != os.getpid():
            return False
        _collecting[-1][1](Failed(self._record, error, self._entity))
        return True


# Of the process and not of a context: a source's own threads inherit no context. A process syncs one source.
_collecting: list[tuple[int, Callable[[Failed], None]]] = []


@contextmanager
def collecting(collect: Callable[[Failed], None]) -> Iterator[None]:
    """While the block lasts, what `guard` catches in this process, in whatever thread, is given to `collect`."""
    mine = (os.getpid(), collect)
    _collecting.append(mine)
    try:
        yield
    finally:
        _collecting.remove(mine)


def text(value: object) -> str:
    """A value as text, also one that cannot say what it is."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - how a record or an error shows itself is other people's code
        return f"<{type(value).__name__} that cannot be shown>"


def _message(error: object) -> str:
    said = text(error).strip()
    if not isinstance(error, BaseException):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
