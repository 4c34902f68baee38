"""Records that fail while a source is extracted: taken out of the rows, kept aside, counted, judged, loaded."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import dlt
from dlt.sources import DltResource, DltSource

from dango.dlt_internals import pipes as dlt_pipes
from dango.errors import TooManyErrors
from dango.failed import Failed, collecting
from dango.job import FailedRecord, ProcessorResult, Status
from dango.sources import record_text

TABLE = "_dango_errors"
SHOWN = 20
"""How many failed records a result carries; all of them are in the table."""
TRIAL_PATIENCE = 100
"""A trial that has seen so many records fail, and not one good, would go through the whole source in vain."""

_COLUMNS: Any = {
    "run": {"data_type": "text", "nullable": False},
    "failed_at": {"data_type": "timestamp", "nullable": False},
    **{
        name: {"data_type": "text", "nullable": False}
        for name in ("resource", "entity", "message", "stack_trace", "payload")
    },
}


@dataclass(slots=True)
class Count:
    """Records of one resource so far."""

    good: int = 0
    failed: int = 0


class RecordErrors:
    """The failed records of one extraction. `guard` hands them over while this is entered, `watch` finds the others.

    Args:
        spool: a file of the job's own, in which they wait to be loaded; made when the first one fails.
        run: the run's name.
        source: the source's name.
        mask: takes secrets out of text.
        root: the project's folder; a line of its code is shown rather than one of a library.
        limit: in a trial, how many rows of a resource are wanted.

    Attributes:
        processors: what became of the records of each processor, those that failed among them.
    """

    def __init__(
        self,
        spool: Path,
        run: str,
        source: str,
        mask: Callable[[str], str],
        root: Path | None = None,
        limit: int | None = None,
    ) -> None:
        self._spool = spool
        self._run = run
        self._source = source
        self._mask = mask
        self._root = root
        self._limit = limit
        self._keys: dict[str, tuple[str, ...]] = {}
        self._turn = threading.Lock()
        self._open = ExitStack()
        self._file: IO[str] | None = None
        self._counts: dict[str, Count] = {}
        self._sample: list[FailedRecord] = []
        self._settled: set[str] = set()
        self.processors: tuple[ProcessorResult, ...] = ()

    def __enter__(self) -> RecordErrors:
        # What an extraction that is tried again has found so far is found again.
        self.discard()
        self._sample.clear()
        self._settled.clear()
        for count in self._counts.values():
            count.good = count.failed = 0
        self._open.enter_context(collecting(self._caught))
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._open.close()
        self._file = None

    def watch(self, source: DltSource) -> None:
        """From now on takes `Failed` out of what the source's selected resources and their parents yield.

        Called when everything else is set on the source, for it finds the place behind each generator.
        """
        for resource in source.resources.extracted:
            self._keys[resource.name] = _primary_key(resource)
        for pipe in dlt_pipes.extracted(source):
            self._counts.setdefault(pipe.name, Count())
            if dlt_pipes.has_maps(pipe):
                # A function that maps rows may give a `Failed` in place of one, too.
                dlt_pipes.append_behind_maps(pipe, self._sieve(pipe.name, counts=False))
            dlt_pipes.insert_behind_generator(pipe, self._sieve(pipe.name, counts=True))

    def add(self, resource: str, failed: Failed) -> None:
        """Takes a record that failed after it was counted as good: in a processor."""
        if resource not in self._settled:
            self._counts.setdefault(resource, Count()).good -= 1
        self._note(resource, failed)

    def settle(self) -> None:
        """What was found so far counts. A resource that is read again, because others take their rows from it, tells
        nothing new."""
        self._settled |= {name for name, count in self._counts.items() if name and (count.good or count.failed)}

    def begin_anew(self, without: str | None = None) -> None:
        """The resources that are not settled are read again, but for one that failed: what they found is forgotten."""
        if without is not None:
            self._settled.add(without)
        self._sample = [record for record in self._sample if record.resource in self._settled]
        rows = [row for row in self._lines() if row["resource"] in self._settled]
        for name, count in self._counts.items():
            if name not in self._settled:
                count.good = count.failed = 0
        if self._file is not None:
            self._file.truncate(0)
            self._file.writelines(json.dumps(row) + "\n" for row in rows)

    @property
    def failed(self) -> int:
        """How many records failed."""
        return sum(count.failed for count in self._counts.values())

    @property
    def left(self) -> bool:
        """Whether rows wait to be loaded, of this extraction or of one whose process was killed."""
        return self._spool.exists()

    @property
    def counts(self) -> Mapping[str, Count]:
        """Good and failed records by resource; what no resource could be found for stands under an empty name."""
        return self._counts

    def sample(self, most: int = SHOWN) -> tuple[FailedRecord, ...]:
        """The first failed records, at most 20."""
        return tuple(self._sample[:most])

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of `_dango_errors`: run, failed_at, resource, entity, message, stack_trace, payload (JSON)."""
        for row in self._lines():
            yield {**row, "failed_at": dt.datetime.fromisoformat(row["failed_at"])}

    def resource(self) -> DltResource:
        """The rows as a dlt resource, which adds them to `_dango_errors`, whatever the source's schema contract."""
        return dlt.resource(
            lambda: self.rows(), name=TABLE, write_disposition="append", columns=_COLUMNS, schema_contract="evolve"
        )

    def judge(self, limit: int | str | None, limits: Mapping[str, int | str | None]) -> Status:
        """Whether the rows may be loaded, and how the job then ends.

        Args:
            limit: `max_errors` of the source, a number or `5%`; it counts the records of all resources that have
                no limit of their own.
            limits: `max_errors` by resource.

        Returns:
            `ok` where nothing failed, or all that did is within limits; `partial` where records failed that no limit
            speaks of.

        Raises:
            TooManyErrors: for the first limit that is exceeded.
        """
        others = Count()
        for name, count in self._counts.items():
            own = limits.get(name)
            if own is None:
                others = Count(others.good + count.good, others.failed + count.failed)
            else:
                self._require(count, own, f" of `{name}`", ("resources", name, "max_errors"))
        if limit is None:
            return "partial" if others.failed else "ok"
        self._require(others, limit, f" of `{self._source}`", ("max_errors",))
        return "ok"

    def discard(self) -> None:
        """Forgets the rows; called when they are loaded."""
        self._spool.unlink(missing_ok=True)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self._file is not None:
            self._file.flush()
        if not self._spool.exists():
            return
        with self._spool.open(encoding="utf-8") as file:
            for line in file:
                # A run that was killed may have left half a line.
                if line.endswith("\n"):
                    yield json.loads(line)

    def _require(self, count: Count, limit: int | str, what: str, loc: tuple[str, ...]) -> None:
        if not _exceeds(count, limit):
            return
        seen = count.good + count.failed
        allowed = "none" if limit == 0 else limit
        raise TooManyErrors(
            f"{count.failed:,} of {seen:,} records{what} failed, max_errors allows {allowed}",
            f"each of them is in the table {TABLE}, run '{self._run}'; the first: dango history {self._run}",
            loc=loc,
        )

    def _sieve(self, resource: str, *, counts: bool) -> dlt_pipes.Step:
        """A step that lets good records pass and takes failed ones out, single or in pages."""
        count = self._counts[resource]

        def sieve(item: Any, meta: Any = None) -> Any:
            failed, good = _parted(item)
            if resource not in self._settled:
                count.good += _size(good) if counts else -len(failed)
            for each in failed:
                self._note(resource, each)
            return good

        return sieve

    def _caught(self, failed: Failed) -> None:
        watched = list(self._counts)
        self._note(dlt_pipes.current_resource() or (watched[0] if len(watched) == 1 else ""), failed)

    def _note(self, resource: str, failed: Failed) -> None:
        if resource in self._settled:
            return
        entity = failed.entity or record_text.entity(failed.record, self._keys.get(resource, ()))
        row = {
            "run": self._run,
            "failed_at": dt.datetime.now(dt.timezone.utc).isoformat(),
            "resource": resource,
            "entity": self._shown(entity),
            "message": self._shown(failed.message),
            "stack_trace": self._shown(failed.stack_trace),
            "payload": record_text.within_limit(self._mask(record_text.as_json(failed.record))),
        }
        place = self._shown(record_text.place(failed.lines, self._root))
        shown = FailedRecord(resource, row["entity"], row["message"], place, row["stack_trace"])
        with self._turn:
            self._written().write(json.dumps(row) + "\n")
            count = self._counts.setdefault(resource, Count())
            count.failed += 1
            if len(self._sample) < SHOWN:
                self._sample.append(shown)
        if self._limit is not None and count.good <= 0 and count.failed >= max(self._limit, TRIAL_PATIENCE):
            raise TooManyErrors(
                f"the first {count.failed} records of `{resource or self._source}` failed; the trial ends here",
                "the errors say why; a sync without --limit goes on to the end",
            )

    def _written(self) -> IO[str]:
        if self._file is None:
            # Payloads are the source's data: for the user's eyes alone, as the project's state is.
            file = os.open(self._spool, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = self._open.enter_context(os.fdopen(file, "w", encoding="utf-8"))
        return self._file

    def _shown(self, said: str) -> str:
        return record_text.brief(self._mask(said))


def _exceeds(count: Count, limit: int | str) -> bool:
    if isinstance(limit, int):
        return count.failed > limit
    return count.failed * 100 > Fraction(limit.rstrip("%")) * (count.good + count.failed)


def _parted(item: Any) -> tuple[list[Failed], Any]:
    """What failed, and what is left of an item; None where nothing is, and the item itself where all is well."""
    if isinstance(item, Failed):
        return [item], None
    # A page's kinds are few, however many records it has.
    if isinstance(item, list) and any(issubclass(kind, Failed) for kind in set(map(type, item))):
        failed = [each for each in item if isinstance(each, Failed)]
        return failed, [each for each in item if not isinstance(each, Failed)] or None
    return [], item


def _size(item: Any) -> int:
    """How many records an item is: tables and frames count their rows."""
    if item is None:
        return 0
    if isinstance(item, list):
        tables = any(hasattr(kind, "shape") for kind in set(map(type, item)))
        return sum(map(_size, item)) if tables else len(item)
    shape = getattr(item, "shape", None)
    return int(shape[0]) if isinstance(shape, tuple) and shape else 1


def _primary_key(resource: DltResource) -> tuple[str, ...]:
    if resource.has_dynamic_table_name or resource.has_other_dynamic_hints:
        return ()
    columns = resource.compute_table_schema()["columns"]
    return tuple(name for name, hints in columns.items() if hints.get("primary_key"))
