"""Files become rows: CSV, JSON Lines, JSON, Parquet and Excel, each from a plain local file."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb

from dango.errors import MissingPackage, SourceError

Format = Literal["csv", "jsonl", "json", "parquet", "excel"]
Row = dict[str, Any]
PAGE = 5_000

FORMATS: Mapping[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xlsm": "excel",
}  # fmt: skip


class Broken(SourceError):
    """A file is not what its format says. `line` counts from 1; 0 is unknown."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {why}" if line else why)


@dataclass(frozen=True, slots=True)
class Options:
    """How files are read where they do not say it themselves."""

    delimiter: str | None = None
    header: bool = True
    sheet: str | None = None
    select: str | None = None
    """The dotted path to the rows in a JSON document."""
    text: Collection[str] = ()
    """The columns of CSV that stay text, whatever they look like."""


def pages(file: Path, kind: Format, options: Options) -> Iterator[list[Row]]:
    """The rows of a file, some thousands at a time. Raises `Broken`."""
    if file.stat().st_size:
        yield from _READERS[kind](file, options)


def _csv(file: Path, options: Options) -> Iterator[list[Row]]:
    """A column is of the narrowest type that gives every value of it back as it is written; else it is text.

    So a number with leading zeros stays text, and with it the whole column.
    """
    delimiter = options.delimiter or _delimiter(file)
    with file.open(encoding="utf-8-sig", newline="", errors="replace") as lines:
        first = next(csv.reader(lines, delimiter=delimiter), [])
    names = _distinct(first if options.header else [None] * len(first))
    # Left to itself DuckDB passes over lines at the top until the rest is of one shape: rows would be lost.
    given = {
        "auto_detect": False,
        "columns": dict.fromkeys(names, "VARCHAR"),
        "header": options.header,
        "delim": delimiter,
        "quote": '"',
        "escape": '"',
    }
    try:
        with closing(duckdb.connect()) as database:
            database.execute(
                f"CREATE TABLE rows AS SELECT * FROM read_csv(?, {', '.join(f'{name} = ?' for name in given)})",  # noqa: S608 - names of ours
                [str(file), *given.values()],
            )
            yield from _fetched(database, names, _kinds(database, names, options.text))
    except duckdb.Error as error:
        # What follows is advice for who writes SQL.
        raise Broken(" ".join(str(error).partition("Possible")[0].split())) from error


def _delimiter(file: Path) -> str:
    """The one that is most often in the first line; what is quoted does not count."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        plain = re.sub(r'"(?:[^"]|"")*"', "", next(lines, ""))
    return max(_DELIMITERS, key=plain.count)


_DELIMITERS = (",", ";", "\t", "|")
_WHOLE = r"-?(0|[1-9][0-9]{0,17})"
_DECIMAL = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = _DATE + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_KINDS = (
    ("BIGINT", _WHOLE),
    ("DOUBLE", _DECIMAL),
    ("BOOLEAN", "(?i)true|false"),
    ("DATE", _DATE),
    ("TIMESTAMP", _TIME),
    ("TIMESTAMPTZ", _TIME + r"(Z|[-+][0-9]{2}:?[0-9]{2})"),
)


def _kinds(database: duckdb.DuckDBPyConnection, columns: list[str], text: Collection[str]) -> dict[str, str]:
    """The type of each column that is not text, by all of its values."""
    asked = [(name, kind, pattern) for name in columns if name not in text for kind, pattern in _KINDS]
    if not asked:
        return {}
    tests = ", ".join(
        f"bool_and(regexp_full_match({_quoted(name)}, '{pattern}') AND TRY_CAST({_quoted(name)} AS {kind}) IS NOT NULL)"
        for name, kind, pattern in asked
    )
    answers = database.execute(f"SELECT {tests} FROM rows").fetchone()  # noqa: S608 - names are quoted
    assert answers is not None
    kinds: dict[str, str] = {}
    for (name, kind, _), fits in zip(asked, answers, strict=True):
        if fits:
            kinds.setdefault(name, kind)
    return kinds


def _fetched(database: duckdb.DuckDBPyConnection, columns: list[str], kinds: Mapping[str, str]) -> Iterator[list[Row]]:
    chosen = ", ".join(f"CAST({_quoted(name)} AS {kinds.get(name, 'VARCHAR')})" for name in columns)
    database.execute("SET TimeZone = 'UTC'")
    database.execute(f"SELECT {chosen} FROM rows")  # noqa: S608 - names are quoted
    while rows := database.fetchmany(PAGE):
        yield [dict(zip(columns, row, strict=True)) for row in rows]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _jsonl(file: Path, options: Options) -> Iterator[list[Row]]:
    with file.open(encoding="utf-8-sig") as lines:
        yield from _paged(_objects(lines))


def _objects(lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _object(_parsed(line, number), number)


def _json(file: Path, options: Options) -> Iterator[list[Row]]:
    text = file.read_text(encoding="utf-8-sig")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        # JSON Lines are often called .json.
        if error.msg == "Extra data" and options.select is None:
            yield from _paged(_objects(text.splitlines()))
            return
        raise Broken(f"{error.msg} (column {error.colno})", error.lineno) from error
    for key in (options.select or "").split(".") if options.select else ():
        if not isinstance(document, dict) or key not in document:
            raise Broken(f"there is no `{options.select}` in it")
        document = document[key]
    yield from _paged(_object(row, 0) for row in (document if isinstance(document, list) else [document]))


def _parsed(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise Broken(f"{error.msg} (column {error.colno})", number) from error


def _object(value: Any, line: int) -> Row:
    if not isinstance(value, dict):
        raise Broken(f"a row is an object, this is {json.dumps(value)[:40]}", line)
    return value


def _parquet(file: Path, options: Options) -> Iterator[list[Row]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=PAGE):
                yield batch.to_pylist()
    except pa.ArrowException as error:
        raise Broken(str(error)) from error


def _excel(file: Path, options: Options) -> Iterator[list[Row]]:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ModuleNotFoundError as error:
        raise MissingPackage("reading Excel needs the package `openpyxl`", "pip install openpyxl") from error
    from zipfile import BadZipFile

    try:
        # By its contents: the name of a copy may have lost its ending.
        book = load_workbook(file.open("rb"), read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError) as error:
        raise Broken("this is no Excel workbook (.xlsx)") from error
    with closing(book):
        if options.sheet is not None and options.sheet not in book.sheetnames:
            raise Broken(f"there is no sheet `{options.sheet}`: {', '.join(book.sheetnames)}")
        sheet = book[options.sheet or book.sheetnames[0]]
        yield from _paged(_sheet(sheet.iter_rows(values_only=True), header=options.header))


def _sheet(rows: Iterator[tuple[Any, ...]], *, header: bool) -> Iterator[Row]:
    filled = (row for row in rows if any(cell not in (None, "") for cell in row))
    first = next(filled, None)
    if first is None:
        return
    names = _distinct(first if header else [None] * len(first))
    if not header:
        yield dict(zip(names, first, strict=True))
    for row in filled:
        # A row is as long as its last filled cell; one beyond the header has no name yet.
        names += _distinct([None] * (len(row) - len(names)), len(names))
        yield dict(zip(names, map(_cell, row), strict=False))


def _cell(value: Any) -> Any:
    return None if value == "" else str(value) if isinstance(value, dt.timedelta) else value


def _distinct(given: Iterable[Any], start: int = 0) -> list[str]:
    """Names for columns: by number where there is none, numbered where one is there twice."""
    names: list[str] = []
    taken: set[str] = set()
    for position, value in enumerate(given, start):
        name = base = str(value).strip() if value not in (None, "") else f"column{position}"
        count = 0
        while name.lower() in taken:
            count += 1
            name = f"{base}_{count}"
        names.append(name)
        taken.add(name.lower())
    return names


def _paged(rows: Iterable[Row]) -> Iterator[list[Row]]:
    page: list[Row] = []
    for row in rows:
        page.append(row)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


_READERS: Mapping[Format, Callable[[Path, Options], Iterator[list[Row]]]] = {
    "csv": _csv, "jsonl": _jsonl, "json": _json, "parquet": _parquet, "excel": _excel,
}  # fmt: skip
