"""A function from an iterator to an iterator, fed page by page.

dlt pushes items through its pipes, and the function pulls them: it runs in a thread that stands still while it has
nothing to do. Of the two threads one runs at a time.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

_PATIENCE = 5.0
"""Seconds for which is waited for a function that is not to go on: Ctrl-C may find it at work."""


class _Stopped(BaseException):
    """Ends the function where it waits for more. No `Exception`: none of its handlers is meant."""


class Course:
    """A function on its way through its items.

    Args:
        function: takes the iterator, and gives another.
        thread: the name of its thread.
    """

    def __init__(self, function: Callable[[Iterator[Any]], Any], thread: str) -> None:
        self._function = function
        self._name = thread
        self._pages: SimpleQueue[list[Any] | type[_Stopped] | None] = SimpleQueue()
        self._turns: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._made: list[Any] = []
        self._rest: Iterator[Any] = iter(())
        self._ended = False
        self._done = False

    def send(self, page: list[Any]) -> list[Any]:
        """Hands it items; gives what it gives before it asks for more. Raises what it raises."""
        self._begin()
        if not self._done:
            self._pages.put(page)
            self._wait()
        made, self._made = self._made, []
        return made

    def end(self) -> Iterator[Any]:
        """No more items come; what it gives then. Raises what it raises."""
        self._begin()
        if not self._done:
            self._pages.put(None)
            self._wait()
        yield from self._made
        # What it has still to give is asked of it here, as it is wanted.
        yield from self._rest

    def close(self) -> None:
        """Ends it, also where it waits for more."""
        if self._thread is not None and not self._done:
            self._pages.put(_Stopped)
            self._thread.join(_PATIENCE)
        elif hasattr(self._rest, "close"):
            self._rest.close()

    def _begin(self) -> None:
        if self._thread is None:
            context = contextvars.copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._run,), name=self._name, daemon=True)
            self._thread.start()
            self._wait()

    def _wait(self) -> None:
        """Until it asks for more, or has ended."""
        if (error := self._turns.get()) is not None:
            raise error

    # --- in its thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            given = iter(self._function(self._items()))
            for each in given:
                self._made.append(each)
                if self._ended:
                    self._rest = given
                    break
        except _Stopped:
            pass
        except BaseException as raised:  # noqa: BLE001 - is raised where it is waited for
            error = raised
        self._done = True
        self._turns.put(error)

    def _items(self) -> Iterator[Any]:
        while True:
            self._turns.put(None)
            page = self._pages.get()
            if page is _Stopped:
                raise _Stopped
            if not isinstance(page, list):
                self._ended = True
                return
            yield from page
