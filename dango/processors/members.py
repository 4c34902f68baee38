"""The links of a chain: what takes records, tables or a whole iterator, and counts what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dango.errors import ProcessorFailed
from dango.failed import Failed
from dango.processors.course import Course
from dango.processors.pages import Page, Types, columns, is_columns, pages, rows, table

Fail = Callable[[Failed], None]
PAGE = 1_000
"""So many records are gathered to a page, where they come one by one."""


@dataclass(slots=True)
class Count:
    """Records of one processor so far."""

    taken: int = 0
    given: int = 0
    dropped: int = 0
    failed: int = 0


class Member:
    """One processor of one resource.

    Attributes:
        name: as it is written.
        count: what became of its records.
        gathers: whether it wants single records in pages, as each page costs it something.
        fail: takes a record that failed; set by the chain.
    """

    gathers = False

    def __init__(self, name: str, close: Callable[[], None] | None = None) -> None:
        self.name = name
        self.count = Count()
        self.fail: Fail = lambda failed: None
        self._close = close

    def page(self, page: Page) -> Iterator[Page]:
        """What becomes of a page."""
        raise NotImplementedError

    def end(self) -> Iterator[Page]:
        """What is left when no more pages come."""
        return iter(())

    def close(self) -> None:
        """Called whatever happened."""
        if self._close is not None:
            self._close()

    @property
    def missing(self) -> tuple[str, ...]:
        """Columns that it names and that no record had."""
        return ()

    def veil(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A record that failed before it came here, as it may be kept."""
        return row

    def failed(self, failed: Failed) -> None:
        """A record that failed here."""
        self.count.failed += 1
        failed.message = f"{self.name}: {failed.message}"
        self.fail(failed)


class ByRecord(Member):
    """A function that takes one record, and gives it, another, several, or None for none."""

    def __init__(self, name: str, function: Callable[[Any], Any], close: Callable[[], None] | None = None) -> None:
        super().__init__(name, close)
        self._function = function
        self._types = Types()

    def page(self, page: Page) -> Iterator[Page]:
        """The records that become of the page's, as they were: a list, or a table."""
        if not isinstance(page, pa.Table):
            if made := self._each(page):
                yield made
            return
        self._types.note(self.becoming(page.schema))
        if not len(page):
            yield page
        elif made := self._each(rows(page)):
            yield self._types.table(made)

    def becoming(self, schema: pa.Schema) -> pa.Schema:
        """The types that the columns of a table are to have when it is made again of its records."""
        return schema

    def _each(self, records: list[Any]) -> list[Any]:
        made: list[Any] = []
        for row in records:
            self.count.taken += 1
            try:
                given = list(self._records(self._function(row)))
            except ProcessorFailed:
                raise
            except Exception as error:  # noqa: BLE001 - processors are other people's code; one record is not all
                self.failed(Failed(row, error))
                continue
            good = [each for each in given if not isinstance(each, Failed)]
            for each in given if len(good) < len(given) else ():
                if isinstance(each, Failed):
                    self.failed(each)
            self.count.dropped += not given
            self.count.given += len(good)
            made += good
        return made

    def _records(self, given: Any) -> Iterator[Any]:
        if given is None:
            return
        if isinstance(given, Mapping | Failed):
            yield given
        elif isinstance(given, list | tuple | Iterator):
            for each in given:
                yield from self._records(each)
        else:
            raise ProcessorFailed(
                f"`{self.name}` gave {type(given).__name__} for a record",
                "it gives a mapping, a list of some, or None for none",
            )


class ByBatch(Member):
    """A function that takes an Arrow table, or a record batch, and gives another, or None."""

    gathers = True

    def __init__(
        self, name: str, function: Callable[[Any], Any], *, batches: bool, close: Callable[[], None] | None = None
    ) -> None:
        super().__init__(name, close)
        self._function = function
        self._batches = batches

    def page(self, page: Page) -> Iterator[Page]:
        """What becomes of a page, in the form in which it came."""
        came = columns(page)
        for part in came.combine_chunks().to_batches() if self._batches else [came]:
            given = self._function(part)
            for each in given if isinstance(given, list | tuple | Iterator) else [given]:
                if each is None:
                    continue
                if not is_columns(each):
                    raise ProcessorFailed(
                        f"`{self.name}` gave {type(each).__name__} for a batch", "it gives a table, or None for none"
                    )
                made = table(each)
                self.count.given += len(made)
                if isinstance(page, pa.Table) or len(made):
                    yield made if isinstance(page, pa.Table) else rows(made)
        self.count.taken += len(came)
        self.count.dropped = max(self.count.taken - self.count.given, 0)


class Streaming(Member):
    """A function that takes the iterator of all records, or of all tables, and gives another."""

    gathers = True

    def __init__(
        self,
        name: str,
        function: Callable[[Iterator[Any]], Any],
        thread: str,
        *,
        tables: bool,
        close: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name, close)
        self._course = Course(function, thread)
        self._tables = tables

    def page(self, page: Page) -> Iterator[Page]:
        """What it gives before it asks for more."""
        came: list[Any] = [columns(page)] if self._tables else rows(page)
        self.count.taken += len(page)
        yield from self._pages(iter(self._course.send(came)))

    def end(self) -> Iterator[Page]:
        """What it gives when nothing more comes."""
        yield from self._pages(self._course.end())

    def close(self) -> None:
        """Ends the function where it stands."""
        try:
            self._course.close()
        finally:
            super().close()

    def _pages(self, given: Iterator[Any]) -> Iterator[Page]:
        gathered: list[Any] = []
        for each in given:
            if isinstance(each, Failed):
                self.failed(each)
            elif is_columns(each) or isinstance(each, list):
                if gathered:
                    yield self._counted(gathered)
                    gathered = []
                yield from map(self._counted, pages(each))
            elif isinstance(each, Mapping):
                gathered.append(each)
                if len(gathered) == PAGE:
                    yield self._counted(gathered)
                    gathered = []
            elif each is not None:
                raise ProcessorFailed(
                    f"`{self.name}` gave {type(each).__name__}", "a stream gives records, lists of some, or tables"
                )
        if gathered:
            yield self._counted(gathered)

    def _counted(self, page: Page) -> Page:
        self.count.given += len(page)
        return page
