"""JSON Lines as DuckDB reads them: what JSON says, however it is written, and nothing of a file that is otherwise."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.connectors import jsonl_columns
from dango.connectors.csv_columns import Unlike

FORMS = ((",", ":"), (", ", ": "), (" , ", " : "))
TEXTS = ("", "x", "ü🎉", 'a "q"', "back\\slash", "line\nend", "\x7f", "null", "true", "1", '","k1":"', "a\0b", "\ud7ff")
KINDS: Mapping[str, Callable[[random.Random], Any]] = {
    "bigint": lambda some: some.choice((0, -1, 7, 10**17, -(10**18) + 1, some.randrange(-(10**6), 10**6))),
    "double": lambda some: some.choice((0.0, -0.5, 1e300, 5e-324, 1e22, 123456789.125, some.random())),
    "plain": lambda some: some.choice(
        (0.25, -0.5, 3, 0, 2**53 + 1, 10**30, 0.0001, -123456789.125, some.randrange(10**9) / 100)
    ),
    "bool": lambda some: some.random() < 0.5,
    "text": lambda some: some.choice(TEXTS),
    "timestamp": lambda some: f"2024-01-{some.randint(1, 31):02}T10:00:{some.randint(0, 59):02}+02:00",
}


class File:
    """A file of documents that are alike, with some that are written otherwise among them."""

    def __init__(self, some: random.Random, path: Path) -> None:
        self.some, self.path = some, path
        names = some.sample(["id", "k1", "Order Id", "a.b", "it's", "ü", 'say "hi"'], some.randint(1, 6))
        self.kinds = {name: some.choice(list(KINDS)) for name in names}
        self.nullable = {name for name in names if some.random() < 0.3}
        self.form = some.choice(FORMS)
        # The first one is like all others, and has no null, nor a whole number where others have fractions.
        first = {name: KINDS[kind](some) for name, kind in self.kinds.items()}
        self.documents = [{name: 0.5 if self.kinds[name] == "plain" else value for name, value in first.items()}]
        self.lines = [self.written(self.documents[0])]
        for _ in range(200):
            document = {name: self.value(name) for name in names}
            self.documents.append(document)
            self.lines.append(self.written(document) if some.random() < 0.95 else self.otherwise(document))

    def value(self, name: str) -> Any:
        """A value that may stand in any document."""
        return None if name in self.nullable and self.some.random() < 0.4 else KINDS[self.kinds[name]](self.some)

    def written(self, document: Mapping[str, Any]) -> str:
        """The document as most programs write it."""
        return json.dumps(document, separators=self.form, ensure_ascii=False)

    def otherwise(self, document: Mapping[str, Any]) -> str:
        """The same document, written as few do."""
        items = list(document.items())
        self.some.shuffle(items)
        wide = " " * self.some.randint(0, 2)
        pairs = [f"{wide}{json.dumps(key)}{wide}:\t{self.odd(value)}" for key, value in items]
        return "{" + ",".join(pairs) + wide + "}"

    def odd(self, value: Any) -> str:
        """A value in another form of its own."""
        if isinstance(value, float):
            return self.some.choice((f"{value:.20e}", json.dumps(value)))
        if isinstance(value, str) and value and self.some.random() < 0.5:
            return '"' + "".join(f"\\u{unit:04X}" for unit in _units(value)) + '"'
        return json.dumps(value)

    def read(self) -> list[dict[str, Any]]:
        """The rows as DuckDB gives them, in any order. Raises `Unlike` and `duckdb.Error`."""
        self.path.write_text("\n".join(self.lines), encoding="utf-8")
        with closing(duckdb.connect()) as database:
            contents = jsonl_columns.contents(database, self.path, lambda _: None, lambda text: text[:4] == "2024")
            with contents.batches() as batches:
                return [row for batch in batches for row in batch.to_pylist()]

    def meant(self) -> list[dict[str, Any]]:
        """The rows as JSON says them."""
        return [{name: self.typed(name, value) for name, value in each.items()} for each in self.documents]

    def typed(self, name: str, value: Any) -> Any:
        """A value as it is in a table."""
        if value is None:
            return None
        match self.kinds[name]:
            case "timestamp":
                return dt.datetime.fromisoformat(value)
            case "double" | "plain":
                return float(value)
        return value


def _units(text: str) -> list[int]:
    raw = text.encode("utf-16-be")
    return [int.from_bytes(raw[start : start + 2], "big") for start in range(0, len(raw), 2)]


@pytest.mark.parametrize("seed", range(60))
def test_documents_are_what_json_says_however_they_are_written(tmp_path: Path, seed: int) -> None:
    file = File(random.Random(seed), tmp_path / "a.jsonl")
    meant = file.meant()
    assert sorted(map(repr, file.read())) == sorted(repr(_at_utc(row)) for row in meant)


def _at_utc(row: Mapping[str, Any]) -> dict[str, Any]:
    """As Arrow gives times, in the time zone of its name."""
    import pyarrow as pa

    zoned = pa.timestamp("us", "UTC")
    return {
        name: pa.scalar(value, zoned).as_py() if isinstance(value, dt.datetime) else value
        for name, value in row.items()
    }


OTHERS: Mapping[str, tuple[str, ...]] = {
    "bigint": ("1.5", '"1"', "true", "10000000000000000000", "1e2", "{}", "[1]", "NaN"),
    "double": ('"1.5"', "true", "NaN", "-Infinity", "{}", "[1.5]"),
    "bool": ("1", '"true"', "0.5", "{}", "[true]"),
    "text": ("1", "1.5", "true", "{}", '["x"]', '{"x": "y"}'),
    "timestamp": ("1", '"later"', '"2024-01-32T10:00:00Z"', '"2024-01-31"', "{}"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "wrong"), [(kind, wrong) for kind, many in OTHERS.items() for wrong in many])
def test_nothing_is_read_of_a_file_with_a_value_of_another_kind(
    tmp_path: Path, form: tuple[str, str], kind: str, wrong: str
) -> None:
    right = json.dumps(KINDS[kind](random.Random(0)), ensure_ascii=False)
    with pytest.raises(Unlike):
        _read(tmp_path / "a.jsonl", form, [("id", "1"), ("a", right), ("b", '"x"')], ("a", wrong))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("items", [[], [("id", "1")], [("a", "1")], [("id", "1"), ("a", "1"), ("other", "1")],
                                   [("id", "1"), ("a", "1"), ("a", "1")], [("id", "1"), ("A", "1")]])  # fmt: skip
def test_nothing_is_read_of_a_file_with_a_document_of_other_keys(
    tmp_path: Path, form: tuple[str, str], items: list[tuple[str, str]]
) -> None:
    with pytest.raises(Unlike):
        _read(tmp_path / "a.jsonl", form, [("id", "1"), ("a", "1")], items)


def _read(path: Path, form: tuple[str, str], usual: list[tuple[str, str]], last: Any) -> None:
    """Reads a file whose last document is another: `last` is its items, or one in place of the usual one."""
    other = last if isinstance(last, list) else [last if name == last[0] else (name, text) for name, text in usual]
    file = File(random.Random(0), path)
    # More of them than tell what all are.
    file.lines = [*[_line(usual, form)] * 3_000, _line(other, form)]
    file.read()


def _line(items: list[tuple[str, str]], form: tuple[str, str]) -> str:
    return "{" + form[0].join(f"{json.dumps(name)}{form[1]}{text}" for name, text in items) + "}"


@pytest.mark.parametrize("numbers", ["DOUBLE", "JSON"])
@pytest.mark.parametrize("form", FORMS)
def test_documents_as_most_write_them_are_compared_with_themselves(
    tmp_path: Path, form: tuple[str, str], numbers: str
) -> None:
    documents: list[dict[str, Any]] = [
        {"a": n, "f": n / 8, "t": None if n % 3 else "ü", "n": None, "d": f"2024-01-01 10:00:{n:02}"} for n in range(50)
    ]
    types = {"a": "bigint", "f": "double", "t": "text", "d": "timestamp"}
    path = tmp_path / "a.jsonl"
    path.write_text("\n\n".join(json.dumps(each, separators=form, ensure_ascii=False) for each in documents))
    found = jsonl_columns._form(path, documents)
    assert found == (form if form in FORMS[:2] else None)
    if found:
        kinds = {key: jsonl_columns._WRITTEN[kind][1] for key, kind in types.items()} | {"f": numbers}
        alike = jsonl_columns._again(list(documents[0]), kinds, types, {"t", "n"}, found)
        rows = f"SELECT json, json_transform(json, '{json.dumps(kinds)}') AS a FROM read_ndjson_objects('{path}')"
        with closing(duckdb.connect()) as database:
            assert database.sql(f"SELECT count(*), bool_and({alike}) FROM ({rows})").fetchall() == [(50, True)]
