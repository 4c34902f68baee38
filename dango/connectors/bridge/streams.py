"""What a connector's program says, stream by stream: records, schemas, state, errors.

The program tells of its streams as it likes; each of them is a dlt resource, and dlt asks one after the other. What
comes for another than the one that is asked waits in a file, so that memory stays flat.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import dlt
from dlt.common import json
from dlt.sources import DltResource

from dango.connectors.bridge.child import Child
from dango.connectors.bridge.typed import Schema, Table, columns
from dango.errors import ConnectorFailed
from dango.failed import Failed

_BATCH = 10_000
_IN_MEMORY = 4 * 1024 * 1024
_STATE = "bridge"


@dataclass(frozen=True, slots=True)
class Stream:
    """One of a connector's streams, which becomes a table."""

    name: str
    schema: Schema = field(default_factory=dict)
    key: tuple[str, ...] = ()
    write_disposition: str = "append"


class Record(NamedTuple):
    """A record, and the stream that it is of."""

    stream: str
    data: dict[str, Any]


class Told(NamedTuple):
    """What the records of a stream look like from here on."""

    stream: str
    schema: Schema


class State(NamedTuple):
    """How far the records before it have come."""

    value: Any


class Wrong(NamedTuple):
    """A record that the connector could not make."""

    stream: str
    message: str
    entity: str = ""
    trace: str = ""


Message = Record | Told | State | Wrong


class Run:
    """One run of a connector's program, from whose lines all streams are read.

    Args:
        start: begins the program, with the state that is stored.
        read: a line, parsed, as a message; None where it is none that matters here.
        streams: those that are asked for.
        keep: whether what came before the program's last state is loaded when it fails.
    """

    def __init__(
        self,
        start: Callable[[Any], Child],
        read: Callable[[dict[str, Any]], Message | None],
        streams: Sequence[Stream],
        *,
        keep: bool = False,
    ) -> None:
        self._start = start
        self._read = read
        self._waiting = {stream.name: _Waiting() for stream in streams}
        self._schemas = {stream.name: stream.schema for stream in streams}
        self._keep = keep
        self._child: Child | None = None
        self._lines: Iterator[bytes] = iter(())
        self._ended = False
        self._state: Any = None
        self._unfinished = set(self._waiting)

    def resource(self, stream: Stream) -> DltResource:
        """The stream as a dlt resource."""
        hints: Any = {
            "primary_key": list(stream.key) or None,
            "write_disposition": stream.write_disposition,
            "columns": columns(stream.schema) or None,
        }
        made: DltResource = dlt.resource(lambda: self._pages(stream.name), name=stream.name, **hints)
        return made

    def _pages(self, name: str) -> Iterator[Any]:
        stored = dlt.current.source_state().setdefault(_STATE, {})
        if self._child is None:
            self._child = self._start(stored.get("value"))
            self._lines = self._child.lines()
        if self._keep:
            yield from self._read_all()
        yield from self._batches(name, self._records(name))
        self._unfinished.discard(name)
        if self._state is not None:
            self._store(stored, name)

    def _batches(self, name: str, records: Iterator[dict[str, Any] | Failed]) -> Iterator[Any]:
        """Records in pages, each as its stream's schema says at that time."""
        schema, table = self._schemas[name], Table(self._schemas[name])
        page: list[dict[str, Any]] = []
        for record in records:
            if isinstance(record, Failed):
                yield record
                continue
            if (told := self._schemas[name]) is not schema:
                if page:
                    yield table.batch(page)
                page, schema, table = [], told, Table(told)
            page.append(record)
            if len(page) == _BATCH:
                yield table.batch(page)
                page = []
        if page:
            yield table.batch(page)

    def _records(self, name: str) -> Iterator[dict[str, Any] | Failed]:
        """What has waited, then what comes, to the end of the program."""
        yield from self._waited(name)
        for message in self._messages():
            match message:
                case Record(stream, data) if stream == name:
                    yield data
                case Wrong():
                    yield _failed(message)
                case _:
                    self._note(message)
        if not self._keep:
            assert self._child
            self._child.require_success()

    def _waited(self, name: str) -> Iterator[dict[str, Any]]:
        waiting = self._waiting[name]
        for line in waiting.lines():
            yield json.loadb(line)

    def _note(self, message: Message) -> None:
        match message:
            case Record(stream, data):
                if stream in self._waiting:
                    self._waiting[stream].add(json.dumpb(data))
            case Told(stream, schema):
                if stream in self._schemas:
                    self._schemas[stream] = schema
            case State(value):
                self._state = value
                for each in self._waiting.values():
                    each.confirm()

    def _read_all(self) -> Iterator[Failed]:
        """Reads to the end first, so that what came after the last state can be left out."""
        if self._ended:
            return
        for message in self._messages():
            if isinstance(message, Wrong):
                yield _failed(message)
            else:
                self._note(message)
        self._ended = True
        assert self._child
        try:
            self._child.require_success()
        except ConnectorFailed as error:
            for each in self._waiting.values():
                each.forget_unconfirmed()
            yield Failed(None, f"{error.message}; what came before its last state is loaded\n{error.hint}")

    def _messages(self) -> Iterator[Message]:
        assert self._child
        for line in self._lines:
            try:
                parsed = json.loadb(line)
            except ValueError:
                parsed = None
            if not isinstance(parsed, dict):
                if line.strip():
                    self._child.noise(line)
                continue
            message = self._read(parsed)
            if message is not None:
                yield message

    def _store(self, stored: dict[str, Any], name: str) -> None:
        """Keeps the state with the rows: that of this stream alone, as long as others may be left out."""
        if not self._unfinished:
            stored["value"] = self._state
            return
        with suppress(KeyError, TypeError, AttributeError):
            mine = self._state["bookmarks"][name]
            stored["value"] = stored.get("value") or {}
            stored["value"].setdefault("bookmarks", {})[name] = mine


class _Waiting:
    """Records of one stream that nobody has asked for yet."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._confirmed = 0

    def add(self, line: bytes) -> None:
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when it is read
        self._file.write(line + b"\n")

    def confirm(self) -> None:
        if self._file is not None:
            self._confirmed = self._file.tell()

    def forget_unconfirmed(self) -> None:
        if self._file is not None:
            self._file.truncate(self._confirmed)

    def lines(self) -> Iterator[bytes]:
        """The records, once; what they took is free afterwards."""
        file, self._file = self._file, None
        if file is not None:
            with file:
                file.seek(0)
                yield from file


def _failed(wrong: Wrong) -> Failed:
    made = Failed(None, wrong.message, wrong.entity)
    if wrong.trace:
        made.stack_trace = wrong.trace
    return made
