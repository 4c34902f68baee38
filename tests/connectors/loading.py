"""What the tests of single sources have in common: a `sources.yml` with one of them, and what a sync of it loaded."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from tests.conftest import Said

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]


def source(kind: str, fields: dict[str, Any], resources: Any = None) -> str:
    """The file with one source, `shop`, of an entry's type."""
    chosen = {"resources": resources} if resources else {}
    return json.dumps({"version": 1, "sources": [{"name": "shop", "type": kind, **chosen, kind: fields}]})


def loaded(said: Said) -> dict[str, int]:
    """How many rows a sync loaded into each table."""
    assert said.code == 0, said.err
    (result,) = said.json["results"]
    return {table["name"]: table["rows"] for table in result["tables"] if table["rows"]}


def closed_port() -> int:
    """A port of 127.0.0.1 at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
