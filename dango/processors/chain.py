"""The processors of one resource, one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from dango.errors import DangoError
from dango.failed import Failed
from dango.processors.members import PAGE, Fail, Member
from dango.processors.pages import Form, Page, is_columns, pages

Make = Callable[[], Member]
Wrong = Callable[[int, Exception], DangoError]


class Chain:
    """The processors of one resource.

    Args:
        make: makes each of them; called anew whenever the resource is read from its beginning.
        fail: takes a record that failed.
        wrong: what the user is told when a processor fails as a whole: which, and why.
    """

    def __init__(self, make: Sequence[Make], fail: Fail, wrong: Wrong) -> None:
        self._make = make
        self._fail = fail
        self._wrong = wrong
        self._open = ExitStack()
        self._held: list[Any] = []
        self._meta: Any = None
        self._form = Form()
        self.members: list[Member] = []

    def begin(self) -> None:
        """The resource is read from its beginning, perhaps once more. Raises what the makers raise."""
        self.close()
        self._held, self.members, self._form = [], [], Form()
        for position, make in enumerate(self._make):
            with _told(self._wrong, position):
                member = make()
            member.fail = partial(self._failed, position)
            self._open.callback(member.close)
            self.members.append(member)

    def push(self, item: Any, meta: Any = None) -> Iterator[tuple[Page, Any]]:
        """What becomes of an item, page by page, each with dlt's word on it.

        Args:
            item: a record, a list of some, or a table.
            meta: what dlt has been told of the item.
        """
        single = not isinstance(item, list) and not is_columns(item)
        if single and any(member.gathers for member in self.members):
            if meta is not self._meta or len(self._held) >= PAGE:
                yield from self._flushed()
            self._held.append(item)
            self._meta = meta
            return
        yield from self._flushed()
        yield from self._formed(self._through(pages(item)), meta)

    def end(self) -> Iterator[tuple[Page, Any]]:
        """What is left when the resource has no more."""
        yield from self._flushed()
        for position in range(len(self.members)):
            rest = self._rest(position)
            yield from self._formed(self._through(rest, position + 1), None)

    def close(self) -> None:
        """Closes every processor, the last first. Raises what they raise, when all are closed."""
        self._open.close()

    def _flushed(self) -> Iterator[tuple[Page, Any]]:
        held, self._held = self._held, []
        if held:
            yield from self._formed(self._through(pages(held)), self._meta)

    def _formed(self, given: Iterable[Page], meta: Any) -> Iterator[tuple[Page, Any]]:
        """Pages as dlt takes them. Those that name a table of their own are no others' like."""
        for page in given:
            yield (page if hasattr(meta, "table_name") else self._form(page)), meta

    def _through(self, given: Iterable[Page], first: int = 0) -> Iterator[Page]:
        """Pages through the processors from the first on."""
        made = iter(given)
        for position in range(first, len(self.members)):
            made = self._by(position, made)
        return made

    def _by(self, position: int, given: Iterator[Page]) -> Iterator[Page]:
        for page in given:
            with _told(self._wrong, position):
                made = list(self.members[position].page(page))
            yield from made

    def _rest(self, position: int) -> Iterator[Page]:
        rest = self.members[position].end()
        while True:
            with _told(self._wrong, position):
                page = next(rest, None)
            if page is None:
                return
            yield page

    def _failed(self, position: int, failed: Failed) -> None:
        """What later processors would have hidden, the record's payload does not tell either."""
        if isinstance(failed.record, Mapping):
            for member in self.members[position:]:
                failed.record = member.veil(failed.record)
        self._fail(failed)


class _told:  # noqa: N801 - is called like a function
    """What a processor raises, as what the user is told of it."""

    def __init__(self, wrong: Wrong, position: int) -> None:
        self._wrong = wrong
        self._position = position

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            told = self._wrong(self._position, error)
            # An error that were its own cause would have no end.
            if told is not error:
                raise told from error
