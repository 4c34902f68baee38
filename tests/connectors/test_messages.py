"""What a connector's program says is read, or told as what it is no message of; whatever it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dlt.common import json

from dango.connectors.bridge import airbyte, foreign, messages, singer
from dango.connectors.bridge.naming import Names
from dango.connectors.bridge.typed import Table, columns
from dango.errors import ConnectorFailed

Read = Callable[[dict[str, Any]], messages.Message | None]


class Program:
    """Of which only what it printed counts."""

    name = "connector"

    def __init__(self) -> None:
        self.printed: list[bytes] = []

    def noise(self, line: bytes) -> str:
        self.printed.append(line)
        return line.decode("utf-8", "replace")


def of_airbyte(line: dict[str, Any]) -> messages.Message | None:
    return airbyte.message(line, {}, {})


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (singer.message, {"type": "RECORD", "stream": "a"}),
        (singer.message, {"type": "RECORD", "stream": ["a"], "record": {}}),
        (singer.message, {"type": "RECORD", "stream": "a", "record": [1]}),
        (singer.message, {"type": "SCHEMA", "stream": "a", "schema": "b"}),
        (foreign.message, {"type": "STATE", "value": 1, "tables": 3}),
        (foreign.message, {"type": "FAILED", "message": None, "place": "", "trace": ""}),
        (of_airbyte, {"type": "TRACE", "trace": None}),
        (of_airbyte, {"type": "RECORD", "record": {"stream": "a", "data": None}}),
        (of_airbyte, {"type": "STATE", "state": [1]}),
    ],
)
def test_a_message_that_is_none_ends_the_run_and_is_shown(read: Read, line: dict[str, Any]) -> None:
    program: Any = Program()
    with pytest.raises(ConnectorFailed, match="`connector` sends a message that is none: "):
        list(messages.messages([json.dumpb(line)], read, program))


def test_what_is_no_message_at_all_is_passed_on() -> None:
    program: Any = Program()
    lines = [b"hello\n", b'{"type": "RECORD", "stream"', b"[1]\n", b"\xff\xfe\n", b"\n", b'{"type": "other"}\n']
    said = list(messages.messages(lines, singer.message, program))
    assert said == [messages.Half('{"type": "RECORD", "stream"')]
    assert program.printed == [b"hello\n", b'{"type": "RECORD", "stream"', b"[1]\n", b"\xff\xfe\n"]


@pytest.mark.parametrize("said", [3, [], {"a": 3}, {"a": {"type": 3}}, {"a": {"type": [["x"]]}}, {"a": {"anyOf": 3}}])
def test_a_schema_that_says_nothing_sensible_types_nothing(said: Any) -> None:
    schema = {"properties": said}
    assert columns(schema) == {}
    assert Table(schema, Names()).batch([{"a": 1}]) == [{"a": 1}]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"message": "no access", "failure_type": "config_error"}, "no access (config error)"),
        (
            {"message": "slow down", "failure_type": "transient_error", "stream_descriptor": {"name": "orders"}},
            "slow down (stream orders, transient error)",
        ),
        ({"internal_message": "KeyError: 'id'"}, "KeyError: 'id'"),
    ],
)
def test_an_error_of_airbytes_is_told_with_its_stream_and_its_kind(error: dict[str, Any], told: str) -> None:
    fatal = of_airbyte({"type": "TRACE", "trace": {"type": "ERROR", "error": {**error, "stack_trace": "at …"}}})
    assert isinstance(fatal, messages.Fatal)
    assert (fatal.message, fatal.trace) == (told, "at …")


def test_each_stream_of_airbytes_has_a_state_of_its_own() -> None:
    def state(name: str, cursor: int) -> dict[str, Any]:
        stream = {"stream_descriptor": {"name": name}, "stream_state": {"id": cursor}}
        return {"type": "STATE", "state": {"type": "STREAM", "stream": stream}}

    states: dict[str, Any] = {}
    said = [airbyte.message(state(name, n), {}, states) for name, n in (("orders", 1), ("users", 7), ("orders", 2))]
    newest = said[-1]
    assert isinstance(newest, messages.State)
    assert [each["stream"]["stream_state"]["id"] for each in newest.value] == [2, 7]
