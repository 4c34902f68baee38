"""What a connector's program says in lines: records, what they look like, state, and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from dlt.common import json

from dango.connectors.bridge.child import Child
from dango.connectors.bridge.schemas import Schema
from dango.errors import ConnectorFailed


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


class Half(NamedTuple):
    """A line that begins like a message and is none, after which nothing is sure."""

    text: str


Message = Record | Told | State | Wrong | Fatal | Half
Read = Callable[[dict[str, Any]], Message | None]


def messages(lines: Iterable[bytes], read: Read, child: Child) -> Iterator[Message]:
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
            if line.strip() and child.noise(line).lstrip().startswith('{"'):
                yield Half(_shown(line))
            continue
        try:
            message = _well_formed(read(parsed))
        except (KeyError, TypeError, AttributeError) as error:
            raise not_one(child, _shown(line)) from error
        if message is not None:
            yield message


def not_one(child: Child, line: str) -> ConnectorFailed:
    """The error for a line that should be a message."""
    return ConnectorFailed(f"`{child.name}` sends a message that is none: {line}")


def _well_formed(message: Message | None) -> Message | None:
    """The message, whose texts are texts and whose records are records. Raises `TypeError`."""
    match message:
        case Record(str(), dict()) | Told(str(), dict()) | Wrong(str(), str()) | Fatal(str()) | State() | None:
            return message
    raise TypeError(type(message).__name__)


def _shown(line: bytes) -> str:
    return line[:200].decode("utf-8", "replace").rstrip()
