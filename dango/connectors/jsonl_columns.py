"""JSON Lines read by DuckDB, where every document has the keys of the first one, each with values of one type.

The first documents tell keys and types; all others are checked while they are read. DuckDB itself would turn numbers
into text, fractions into whole numbers, and pass over keys that it does not know. So a document is alike if its parsed
values, written again, come to its text, or if that fits a pattern, which takes four times as long; of any other each
value is taken as it is written, and parsed when it is found to be what it should.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dango.connectors.csv_columns import Unlike
from dango.connectors.file_tables import ROWS, Contents, Irregular
from dango.duckdb_text import literal, quoted

_SAMPLE = 2_000
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[-+][0-9]{2}:[0-9]{2})?"
_TYPES: Mapping[type, str] = {int: "bigint", float: "double", bool: "bool", str: "text"}

# How a value of each type is written, what DuckDB reads it as, and what makes it one of the type; `{}` is its text.
_WRITTEN: Mapping[str, tuple[str, str, str]] = {
    "bigint": ("-?(?:0|[1-9][0-9]{0,18})", "BIGINT", "CAST({} AS BIGINT)"),
    # Whole numbers, too: where the first value is a fraction, they become one.
    "double": (r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "DOUBLE", "CAST({} AS DOUBLE)"),
    "bool": ("true|false", "BOOLEAN", "{} = 'true'"),
    "timestamp": (f'"{_TIME}"', "VARCHAR", "trim({}, '\"')"),
    "text": (r'"(?:[^"\\]|\\.)*"', "VARCHAR", ""),
}
_DANGLING = r",\s*[}\]]"
"""A comma behind which nothing comes: no JSON, though DuckDB takes it. In a text it may stand; it is read otherwise."""
_GLANCE = 64
"""So many keys at most are looked at by one pattern: it grows with them, and takes longer than they do."""
_FORMS = ((",", ":"), (", ", ": "))
"""What most programs write between a document's items, and behind its keys."""


def contents(
    database: duckdb.DuckDBPyConnection, file: Path, said: Callable[[str], str | None], is_time: Callable[[str], bool]
) -> Contents:
    """What a file holds if all documents are like the first ones; one that is not raises `Unlike`.

    Args:
        database: a connection of its own.
        file: in UTF-8.
        said: the type in the table of a key's column, where it has one.
        is_time: whether a column becomes a time by its first text.

    Raises:
        Irregular: when the first documents are not alike.
    """
    documents = sampled(file)
    values = _values(documents)
    types = {key: _type(key, held, said(key), is_time) for key, held in values.items() if held}
    first = {key: values[key][0] for key, kind in types.items() if kind == "text"}
    form = _form(file, documents)
    nullable = {key for key, held in values.items() if len(held) < len(documents)}
    parsed = {key: _WRITTEN[kind][1] for key, kind in types.items()}
    if form is None:
        alike = _pattern(list(values), types)
    else:
        parsed |= {key: "JSON" for key, kind in types.items() if kind == "double" and _as_written(values[key])}
        alike = _again(list(values), parsed, types, nullable, form)
    relation = _relation(file, list(values), parsed, types, alike)
    return Contents(types, first, lambda: _batches(database, relation), relation=relation)


def sampled(file: Path) -> list[dict[str, Any]]:
    """The first documents, at least one, which has keys. Raises `Irregular`."""
    with file.open(encoding="utf-8") as lines:
        try:
            documents = [json.loads(line) for line in islice(filter(str.strip, lines), _SAMPLE)]
        except ValueError as error:
            raise Irregular("a document cannot be read") from error
    if not documents or not all(isinstance(document, dict) for document in documents) or not documents[0]:
        raise Irregular("it begins with no document that has keys")
    return documents


def _values(documents: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The values of each key that are not null."""
    first = documents[0]
    if any(document.keys() != first.keys() for document in documents):
        raise Irregular("its documents have not all the same keys")
    return {key: [document[key] for document in documents if document[key] is not None] for key in first}


def _type(key: str, values: Sequence[Any], said: str | None, is_time: Callable[[str], bool]) -> str:
    kinds = {type(value) for value in values}
    if kinds <= {int, float} and (said == "double" or (said is None and type(values[0]) is float)):
        # The table tells the column's type, else the first; whole numbers are the same number as a fraction.
        kinds = {float}
    found = [_TYPES[kind] for kind in kinds if kind in _TYPES]
    if len(kinds) > 1 or not found:
        raise Irregular(f"`{key}` is nested, or of several types")
    times = found == ["text"] and all(re.fullmatch(_TIME, value) for value in values)
    return "timestamp" if times and (said == "timestamp" or (said is None and is_time(values[0]))) else found[0]


def _form(file: Path, documents: Sequence[dict[str, Any]]) -> tuple[str, str] | None:
    """The one in which nearly all of the first documents are written."""
    with file.open(encoding="utf-8") as lines:
        texts = list(islice(map(str.strip, filter(str.strip, lines)), len(documents)))
    plain = [(text, document) for text, document in zip(texts, documents, strict=True) if "\\" not in text]
    for form in _FORMS:
        same = sum(text == json.dumps(each, ensure_ascii=False, separators=form) for text, each in plain)
        if same > 0.9 * len(documents):
            return form
    return None


def _as_written(values: Sequence[float]) -> bool:
    """Whether DuckDB writes numbers, parsed as JSON, as they are in the file: those that no exponent is written of."""
    return not any("e" in repr(value) for value in values)


def _relation(file: Path, keys: Sequence[str], parsed: Mapping[str, str], types: Mapping[str, str], alike: str) -> str:
    """Documents that are alike are parsed as what they are; of others each value is looked at."""
    every = json.dumps(dict.fromkeys(keys, "JSON"))
    looked_at = ", ".join(f"{quoted(key)} := {_value(key, kind, parsed[key])}" for key, kind in types.items())
    empty = " AND ".join(f"r.{quoted(key)} IS NULL" for key in keys if key not in types) or "true"
    typed = ", ".join(
        f"{_typed(f'a.{quoted(key)}', kind, parsed[key])} AS {quoted(key)}" for key, kind in types.items()
    )
    # JSON has no numbers that are none, and DuckDB takes them for some.
    columns = ", ".join(
        f"CASE WHEN isfinite({column}) IS DISTINCT FROM false THEN {column} ELSE error('unlike') END AS {column}"
        if parsed[key] == "JSON"
        else column
        for key, column in ((key, quoted(key)) for key in types)
    )
    # What is strict in it: a key that is missing, or there twice. One too many shows in their number.
    return (
        f"(SELECT {columns} FROM (SELECT {typed} FROM (SELECT CASE WHEN {alike} THEN a"
        f" WHEN len(json_keys(json)) = {len(keys)} AND NOT regexp_matches(CAST(json AS VARCHAR), '{_DANGLING}')"
        f" THEN list_transform([json_transform_strict(json, {literal(every)})],"
        f" lambda r: CASE WHEN {empty} THEN struct_pack({looked_at}) ELSE error('unlike') END)[1]"
        f" ELSE error('unlike') END AS a"
        f" FROM (SELECT json, json_transform(json, {literal(json.dumps(parsed))}) AS a"
        f" FROM read_ndjson_objects({literal(str(file))})))))"
    )


def _typed(value: str, kind: str, parsed: str) -> str:
    """A parsed value as what it is in the table. One that it cannot be is an error."""
    if kind == "timestamp":
        return f"CAST({value} AS TIMESTAMPTZ)"
    # By way of its text: JSON itself takes a number in quotes for one.
    return _WRITTEN[kind][2].format(f"CAST({value} AS VARCHAR)") if parsed == "JSON" else value


def _again(
    keys: Sequence[str],
    parsed: Mapping[str, str],
    types: Mapping[str, str],
    nullable: Collection[str],
    form: tuple[str, str],
) -> str:
    """Whether a document is its keys in their order and its parsed values as JSON writes them.

    A text with a character that would be escaped, and a number that is written otherwise, are not what is parsed of
    them: then it is not.
    """
    parts: list[str] = []
    # Text until the next value, in one piece: each costs as much as a value.
    text, between = "{", ""
    for key in keys:
        text += between + json.dumps(key, ensure_ascii=False) + form[1]
        between = form[0]
        kind, value = types.get(key), f"a.{quoted(key)}"
        if kind is None:
            text += "null"
            continue
        quote = '"' if parsed[key] == "VARCHAR" else ""
        if key not in nullable:
            parts += [literal(text + quote), value]
            text = quote
            continue
        # `concat` passes over what is null.
        before, after = (f"if({value} IS NULL, {literal(null)}, {literal(quote)})" for null in ("null", ""))
        parts += [literal(text), before, value, *([after] if quote else [])]
        text = ""
    parts.append(literal(text + "}"))
    times = [f"a.{quoted(key)}" for key, kind in types.items() if kind == "timestamp"]
    fit = [f"coalesce(regexp_full_match({value}, {literal(_TIME)}), true)" for value in times]
    return " AND ".join([f"CAST(json AS VARCHAR) = concat({', '.join(parts)})", *fit])


def _pattern(keys: Sequence[str], types: Mapping[str, str]) -> str:
    """Whether a document is its keys in their order and values of their types, however they are written."""
    if len(keys) > _GLANCE:
        return "false"
    values = {key: f"(?:null|{_WRITTEN[types[key]][0]})" if key in types else "null" for key in keys}
    pairs = (rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:\s*{value}" for key, value in values.items())
    pattern = r"\s*\{\s*" + r"\s*,\s*".join(pairs) + r"\s*\}\s*"
    return f"regexp_full_match(CAST(json AS VARCHAR), {literal(pattern)})"


@contextmanager
def _batches(database: duckdb.DuckDBPyConnection, relation: str) -> Iterator[Iterator[pa.RecordBatch]]:
    try:
        database.execute("SET TimeZone = 'UTC'")
        with database.sql(f"FROM {relation}").to_arrow_reader(ROWS) as reader:
            yield reader
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # By then the rows are under way in Arrow's stream, which has errors of its own.
        raise Unlike(str(error)) from error


def _value(key: str, kind: str, parsed: str) -> str:
    column = f"r.{quoted(key)}"
    pattern, _, value = _WRITTEN[kind]
    if kind == "text":
        fits = f"starts_with({column}, '\"')"
        value = f"CASE WHEN contains({column}, '\\') THEN {column} ->> '$' ELSE trim({column}, '\"') END"
    else:
        fits = f"regexp_full_match({column}, '{pattern}')"
        value = column if parsed == "JSON" else value.format(f"CAST({column} AS VARCHAR)")
    return f"CASE WHEN {column} IS NULL THEN NULL WHEN {fits} THEN {value} ELSE error('unlike') END"
