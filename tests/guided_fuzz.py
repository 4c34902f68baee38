"""Hostile input, found by the code that it reaches: `make guided-fuzz`.

What is quick enough for millions of inputs: dango's own readers and writers of text, and what connectors' programs say.
Whole projects are tried by `tests/test_fuzz.py`. Run by a Python that has Atheris:

    python -m tests.guided_fuzz TARGET SECONDS
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["dango"]):
    from dango.config.conditions import columns as columns_of
    from dango.config.conditions import fault
    from dango.config.document import Document
    from dango.connectors.bridge import airbyte, foreign, singer
    from dango.connectors.bridge.messages import Record, Told, messages
    from dango.connectors.bridge.naming import Names
    from dango.connectors.bridge.typed import Table, columns
    from dango.conversions import CONVERSIONS, convert
    from dango.errors import DangoError
    from dango.registry.template import filled
    from dango.secret_store import with_values

MESSAGES = (
    {"type": "SCHEMA", "stream": "a", "schema": {"properties": {"id": {"type": ["null", "integer"]}}}},
    {
        "type": "SCHEMA",
        "stream": "a",
        "schema": {"properties": {"at": {"anyOf": [{"type": "string", "format": "date"}]}}},
    },
    {"type": "RECORD", "stream": "a", "record": {"id": 1, "at": "2024-01-01"}},
    {"type": "STATE", "value": {"bookmarks": {"a": 1}}, "tables": ["a"]},
    {"type": "ERROR", "stream": "a", "message": "m", "entity": "e", "trace": "t"},
    {"type": "RECORD", "record": {"stream": "a", "namespace": "n", "data": {"id": 1}}},
    {"type": "STATE", "state": {"type": "STREAM", "stream": {"stream_descriptor": {"name": "a"}}}},
    {"type": "TRACE", "trace": {"type": "ERROR", "error": {"message": "m", "stream_descriptor": {"name": "a"}}}},
)
YAML = b"version: 1\nsources:\n  # a shop\n  - name: shop\n    type: x\n    deep: {a: [1, 2], b: 'c'}\n  - {name: y}\n"
TOML = b"[sources.shop]\ntoken = \"a\" # b\nmore = {a = 1, b = '''\nc'''}\n\n[[x]]\ny.z = [1,\n2]\n"


class Silent:
    """A program of which nothing is wanted but what it said."""

    name = "connector"

    def noise(self, line: bytes) -> str:
        return line.decode("utf-8", "replace")


def lines(data: bytes) -> None:
    """What a connector says is read, or it has failed; and what it says of types fits any record."""
    for read in (singer.message, foreign.message, lambda line: airbyte.message(line, {}, {})):
        schema: Mapping[str, Any] = {}
        try:
            for message in messages.messages(data.splitlines(), read, Silent()):  # type: ignore[arg-type]
                if isinstance(message, Told):
                    schema = message.schema
                    columns(schema)
                elif isinstance(message, Record):
                    Table(schema, Names()).batch([message.data])
        except DangoError:
            continue


def yaml_edits(data: bytes) -> None:
    """A document that is read can be changed, and means then what it should, or it is told that it cannot."""
    text = data.decode("utf-8", "replace")
    try:
        document = Document(Path("sources.yml"), "sources.yml", text).set_value((), "version", 2)
        sources = document.data.get("sources")
        if isinstance(sources, list):
            document.append_item(("sources",), {"name": "new", "more": ["a: b", None]})
        if isinstance(sources, list) and sources and isinstance(sources[0], dict):
            document.set_value(("sources", 0), "deep", {"a": "x\ny"}).remove_item(("sources", 0))
    except DangoError:
        return


def toml_edits(data: bytes) -> None:
    """Secrets are written below what stands there, which means what it meant, or it is told why not."""
    text = data.decode("utf-8", "replace")
    try:
        with_values(text, ("sources", "shop"), {"token": 'a "b"', "more": {"a": 2}, "new": "c\nd"})
        with_values(text, ("x",), {"y": None})
    except DangoError:
        return


def templates(data: bytes) -> None:
    """Placeholders are filled, or a value does not fit."""
    text = data.decode("utf-8", "replace")
    try:
        filled({"path": text, "auth": {"a": text}, "json": [text, {text: text}]}, {"a": text, "b": 3}, rest_api=True)
    except ValueError:
        return


def moments(data: bytes) -> None:
    """A text is a time, or none."""
    for form in CONVERSIONS:
        try:
            convert(data.decode("utf-8", "replace"), form)
        except ValueError:
            continue


def conditions(data: bytes) -> None:
    """A text is a condition, or it is said why not."""
    text = data.decode("utf-8", "replace")
    if not fault(text):
        columns_of(text)


SEEDS: Mapping[Callable[[bytes], None], tuple[bytes, ...]] = {
    lines: tuple(json.dumps(message).encode() for message in MESSAGES),
    yaml_edits: (YAML,),
    toml_edits: (TOML,),
    templates: (b"${a}/x${b|int}", b"${a|epoch}{b}{{c}}", b"${a|json}"),
    moments: (b"2024-01-01T00:00:00.123Z", b"/Date(1704067200000+0200)/", b"1704067200", b"2024-01-01"),
    conditions: (b"a > 3 and b is not null", b"list_filter(c, x -> x = 'y')", b"\"d e\" like '%' -- f"),
}
TARGETS = {target.__name__: target for target in SEEDS}


def main() -> None:
    """Tries inputs of one target until the seconds are over, or something is raised that should not be."""
    target, seconds = TARGETS[sys.argv[1]], int(sys.argv[2])
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for nth, seed in enumerate((*SEEDS[target], b"\n".join(SEEDS[target]))):
        (corpus / str(nth)).write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=4096", "-rss_limit_mb=4096", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", f"-artifact_prefix={folder}/", str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
