"""What a connector's program says, stream by stream: records, schemas, state, errors.

The program tells of its streams as it likes; each of them is a dlt resource, and dlt asks one after the other. What
comes for another than the one that is asked waits in a file, so that memory stays flat.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, NamedTuple

import dlt
from dlt.common import json
from dlt.sources import DltResource

from dango.connectors.bridge.child import Child
from dango.connectors.bridge.typed import Schema, Table, columns
from dango.errors import ArgumentError, ConnectorFailed, near
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
    key: tuple[str, ...] = ()
    write_disposition: str = ""


class State(NamedTuple):
    """How far the records before it have come: those of some streams, or of all."""

    value: Any
    streams: tuple[str, ...] | None = None


class Wrong(NamedTuple):
    """A record that the connector could not make."""

    stream: str
    message: str
    entity: str = ""
    trace: str = ""


class Fatal(NamedTuple):
    """Why the program ends, as far as it can tell itself."""

    message: str
    place: str
    trace: str
    whole: bool = False
    """Whether the message says already whose it is."""


Part = Callable[[Any, Any, str], Any]
Message = Record | Told | State | Wrong | Fatal


class Run:
    """One run of a connector's program, from whose lines all streams are read.

    Args:
        start: begins the program, with the state that is stored.
        read: a line, parsed, as a message; None where it is none that matters here.
        streams: those that are asked for; where there are none, which there are shows as they come.
        keep: whether what came before the program's last state is loaded when it fails.
        part: what is to be stored when one stream is loaded and others may not be, of what was stored and the state
            now; without it nothing is, until all are loaded.
    """

    def __init__(
        self,
        start: Callable[[Any], Child],
        read: Callable[[dict[str, Any]], Message | None],
        streams: Sequence[Stream],
        *,
        keep: bool = False,
        part: Part | None = None,
    ) -> None:
        self._part = part
        self._start = start
        self._read = read
        self._any = not streams
        self._waiting = {stream.name: _Waiting() for stream in streams}
        self._told: dict[str, Told] = {}
        self._schemas = {stream.name: stream.schema for stream in streams}
        self._keep = keep
        self._child: Child | None = None
        self._fatal: Fatal | None = None
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

    def tables(self, name: str) -> DltResource:
        """Whatever streams come as one dlt resource, with a table for each."""
        made: DltResource = dlt.resource(lambda: self._tables(), name=name)
        return made

    def _tables(self) -> Iterator[Any]:
        stored = self._begun()
        yield from self._read_all()
        for name in self._waiting:
            told = self._told.get(name) or Told(name, {})
            hints = dlt.mark.make_hints(
                table_name=name,
                primary_key=list(told.key) or None,
                write_disposition=told.write_disposition or ("merge" if told.key else "append"),  # type: ignore[arg-type]
                columns=columns(self._schemas[name]) or None,  # type: ignore[arg-type]
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
        schema, table = self._schemas[name], Table(self._schemas[name])
        for page in pages:
            if (told := self._schemas[name]) is not schema:
                schema, table = told, Table(told)
            yield page if isinstance(page, Failed) else table.batch(page)

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
                    self._waiting[stream] = _Waiting()
                    self._schemas.setdefault(stream, {})
                if stream in self._waiting:
                    self._waiting[stream].add(json.dumpb(data))
            case Told(stream, schema):
                if self._any or stream in self._schemas:
                    self._schemas[stream], self._told[stream] = schema, message
            case Fatal():
                self._fatal = message
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
        except ConnectorFailed as error:
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


def messages(
    lines: Iterable[bytes], read: Callable[[dict[str, Any]], Message | None], child: Child
) -> Iterator[Message]:
    """What a program says, of all that it prints; the rest is passed on to people.

    Args:
        lines: its stdout.
        read: a line, parsed, as a message; None where it is none that matters here.
        child: the program.

    Raises:
        ConnectorFailed: for a message that is not as its kind has to be.
    """
    for line in lines:
        try:
            parsed = json.loadb(line)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            if line.strip():
                child.noise(line)
            continue
        try:
            message = _well_formed(read(parsed))
        except (KeyError, TypeError, AttributeError) as error:
            said = line[:200].decode("utf-8", "replace").rstrip()
            raise ConnectorFailed(f"`{child.name}` sends a message that is none: {said}") from error
        if message is not None:
            yield message


def _well_formed(message: Message | None) -> Message | None:
    """The message, whose texts are texts and whose records are records. Raises `TypeError`."""
    match message:
        case Record(str(), dict()) | Told(str(), dict()) | Wrong(str(), str()) | Fatal(str()) | State() | None:
            return message
    raise TypeError(type(message).__name__)


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
    # It went wrong in another process; the line here says nothing of it.
    made.lines, made.stack_trace = (), wrong.trace or wrong.message
    return made
