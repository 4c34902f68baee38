"""What a connector's program says, stream by stream: records, schemas, state, errors.

The program tells of its streams as it likes; each of them is a dlt resource, and dlt asks one after the other. What
comes for another than the one that is asked waits in a file, so that memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import dlt
from dlt.common import json
from dlt.sources import DltResource

from dango.connectors.bridge.child import Child
from dango.connectors.bridge.messages import Fatal, Half, Message, Read, Record, State, Told, Wrong, messages, not_one
from dango.connectors.bridge.naming import Names
from dango.connectors.bridge.schemas import Schema
from dango.connectors.bridge.typed import Table, columns
from dango.connectors.bridge.waiting import Waiting
from dango.errors import ArgumentError, ConnectorFailed, near
from dango.failed import Failed

_BATCH = 10_000
_STATE = "bridge"


@dataclass(frozen=True, slots=True)
class Stream:
    """One of a connector's streams, which becomes a table."""

    name: str
    schema: Schema = field(default_factory=dict)
    key: tuple[str, ...] = ()
    write_disposition: str = "append"


Part = Callable[[Any, Any, str], Any]


class Run:
    """One run of a connector's program, from whose lines all streams are read.

    Args:
        start: begins the program, with the state that is stored.
        read: a line, parsed, as a message; None where it is none that matters here.
        streams: those that are asked for; where there are none, which there are shows as they come.
        keep: whether what came before the program's last state is loaded when it fails.
        part: what is to be stored when one stream is loaded and others may not be, of what was stored and the state
            now; without it nothing is, until all are loaded.
        failed: called when the program fails.
    """

    def __init__(
        self,
        start: Callable[[Any], Child],
        read: Read,
        streams: Sequence[Stream],
        *,
        keep: bool = False,
        part: Part | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._failed = failed
        self._part = part
        self._start = start
        self._read = read
        self._any = not streams
        self._waiting = {stream.name: Waiting() for stream in streams}
        self._told: dict[str, Told] = {}
        self._schemas = {stream.name: stream.schema for stream in streams}
        self._names = {stream.name: Names(stream.schema) for stream in streams}
        self._keep = keep
        self._child: Child | None = None
        self._fatal: Fatal | None = None
        self._broken = ""
        self._lines: Iterator[bytes] = iter(())
        self._ended = False
        self._state: Any = None
        self._unfinished = set(self._waiting)

    def resource(self, stream: Stream) -> DltResource:
        """The stream as a dlt resource."""
        names = self._names[stream.name]
        hints: Any = {
            "primary_key": [names.of(each) for each in stream.key] or None,
            "write_disposition": stream.write_disposition,
            "columns": names.hints(columns(stream.schema)) or None,
        }
        made: DltResource = dlt.resource(lambda: self._pages(stream.name), name=stream.name, **hints)
        return made

    def tables(self, name: str) -> DltResource:
        """Whatever streams come as one dlt resource, with a table for each."""
        made: DltResource = dlt.resource(lambda: self._tables(), name=name)
        return made

    def _tables(self) -> Iterator[Any]:
        stored = self._begun()
        yield from self._read_all()
        for name in self._waiting:
            told, names = self._told.get(name) or Told(name, {}), self._names[name]
            hints = dlt.mark.make_hints(
                table_name=name,
                primary_key=[names.of(each) for each in told.key] or None,
                write_disposition=told.write_disposition or ("merge" if told.key else "append"),  # type: ignore[arg-type] # as the connector says
                columns=names.hints(columns(self._schemas[name])) or None,  # type: ignore[arg-type] # hints as dlt takes them
            )
            for batch in self._batches(name, self._waited(name)):
                yield dlt.mark.with_hints(batch, hints, create_table_variant=True)
        if self._state is not None:
            stored["value"] = self._state

    def _begun(self) -> dict[str, Any]:
        """Begins the program, unless it runs; gives what is stored of its state."""
        stored: dict[str, Any] = dlt.current.source_state().setdefault(_STATE, {})
        if self._child is None:
            self._child = self._start(stored.get("value"))
            self._lines = self._child.lines()
        return stored

    def _pages(self, name: str) -> Iterator[Any]:
        stored = self._begun()
        if self._keep:
            yield from self._read_all()
        yield from self._batches(name, self._records(name))
        self._unfinished.discard(name)
        if self._state is not None:
            self._store(stored, name)

    def _batches(self, name: str, pages: Iterator[list[dict[str, Any]] | Failed]) -> Iterator[Any]:
        """Pages of records, each as its stream's schema says at that time."""
        schema, names = self._schemas[name], self._names[name]
        table = Table(schema, names)
        for page in pages:
            if (told := self._schemas[name]) is not schema:
                schema, table = told, Table(told, names)
            yield page if isinstance(page, Failed) else table.batch(page)
        names.tell(name)

    def _records(self, name: str) -> Iterator[list[dict[str, Any]] | Failed]:
        """What has waited, then what comes, to the end of the program."""
        yield from self._waited(name)
        page: list[dict[str, Any]] = []
        for message in self._said():
            if type(message) is Record and message.stream == name:
                page.append(message.data)
            elif isinstance(message, Wrong):
                yield _failed(message)
            else:
                if page and isinstance(message, Told):
                    # They are still as the schema before this one says.
                    yield page
                    page = []
                self._note(message)
            if len(page) == _BATCH:
                yield page
                page = []
        if page:
            yield page
        if not self._keep:
            self._require_success()

    def _waited(self, name: str) -> Iterator[list[dict[str, Any]]]:
        lines = self._waiting[name].lines()
        while page := [json.loadb(line) for line in islice(lines, _BATCH)]:
            yield page

    def _note(self, message: Message) -> None:
        match message:
            case Record(stream, data):
                if self._any and stream not in self._waiting:
                    self._waiting[stream] = Waiting()
                    self._schemas.setdefault(stream, {})
                    self._names.setdefault(stream, Names())
                if stream in self._waiting:
                    self._waiting[stream].add(json.dumpb(data))
            case Told(stream, schema):
                if self._any or stream in self._schemas:
                    self._schemas[stream], self._told[stream] = schema, message
                    self._names.setdefault(stream, Names()).see(schema)
            case Fatal():
                self._fatal = message
            case Half(text):
                self._broken = self._broken or text
            case State(value, streams):
                self._state = value
                for name, each in self._waiting.items():
                    if streams is None or name in streams:
                        each.confirm()

    def _read_all(self) -> Iterator[Failed]:
        """Reads to the end first: so what came after the last state can be left out, and all streams are known."""
        if self._ended:
            return
        for message in self._said():
            if isinstance(message, Wrong):
                yield _failed(message)
            else:
                self._note(message)
        self._ended = True
        try:
            self._require_success()
        except ConnectorFailed as error:
            if not self._keep:
                raise
            for each in self._waiting.values():
                each.forget_unconfirmed()
            yield Failed(None, f"{error.message}; what came before its last state is loaded\n{error.hint}")

    def _require_success(self) -> None:
        """Waits for the program's end. Raises `ConnectorFailed`, with what it says itself if it does."""
        assert self._child
        try:
            self._child.require_success()
            if self._broken:
                raise not_one(self._child, self._broken)
        except ConnectorFailed as error:
            self._failed()
            if self._fatal is None:
                raise
            told = self._fatal.message if self._fatal.whole else f"`{self._child.name}`: {self._fatal.message}"
            raise ConnectorFailed(told, place=self._fatal.place) from Elsewhere(self._fatal.trace or str(error))

    def _said(self) -> Iterator[Message]:
        assert self._child
        return messages(self._lines, self._read, self._child)

    def _store(self, stored: dict[str, Any], name: str) -> None:
        """Keeps the state with the rows: that of this stream alone, as long as others may be left out."""
        if not self._unfinished:
            stored["value"] = self._state
        elif self._part is not None:
            stored["value"] = self._part(stored.get("value"), self._state, name)


def chosen(streams: Iterable[str], resources: Sequence[str], connector: str) -> list[str]:
    """Those of a connector's streams that are asked for, in its own order, in which its records come.

    Raises:
        ArgumentError: for one that it does not have.
    """
    known = list(streams)
    for name in resources:
        if name not in known:
            raise ArgumentError(
                f"`{connector}` has no stream `{name}`{near(name, known)}",
                f"its streams: {', '.join(known)}",
                loc=("resources", name),
            )
    return [name for name in known if not resources or name in resources]


class Elsewhere(Exception):
    """What was raised in the program, with its traceback; it stands behind the error, for who asks for all of it."""


def _failed(wrong: Wrong) -> Failed:
    made = Failed(None, wrong.message, wrong.entity)
    # It went wrong in another process; the line here says nothing of it.
    made.lines, made.stack_trace = (), wrong.trace or wrong.message
    return made
