"""Files become rows: CSV, JSON Lines, JSON, Parquet and Excel, each from a plain local file."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dango import external
from dango.connectors import jsonl_columns, parquet_columns
from dango.connectors.csv_columns import Csv, Texts, Unlike
from dango.connectors.file_kinds import ENCODINGS, Format
from dango.connectors.file_tables import Contents, Irregular, Table, refer, write
from dango.connectors.headers import distinct
from dango.dlt_internals import files as dlt_files
from dango.dlt_internals.tables import ROW_ID
from dango.errors import MissingPackage, SourceError

Row = dict[str, Any]
PAGE = 5_000


class Broken(SourceError):
    """A file is not what its format says. `line` counts from 1; 0 is unknown."""

    def __init__(self, why: str, line: int = 0, hint: str = "") -> None:
        super().__init__(f"line {line}: {why}" if line else why, hint)


@dataclass(frozen=True, slots=True)
class Options:
    """How files are read where they do not say it themselves."""

    delimiter: str | None = None
    header: bool = True
    sheet: str | None = None
    select: str | None = None
    """The dotted path to the rows in a JSON document."""
    texts: Texts = field(default_factory=Texts)
    """The columns of CSV that stay text."""

    def csv(self, database: duckdb.DuckDBPyConnection, file: Path) -> Csv:
        """A CSV file as these options say that it is read."""
        return Csv(database, file, self.delimiter, self.header, self.texts)


def pages(file: Path, kind: Format, options: Options) -> Iterator[list[Row]]:
    """The rows of a file, some thousands at a time. Raises `Broken`."""
    if file.stat().st_size:
        try:
            yield from _READERS[kind](file, options)
        except UnicodeDecodeError as error:
            raise _in_another_encoding(file) or error from error


def written(
    file: Path, kind: Format, options: Options, table: Table, to: Path, *, lasting: bool
) -> tuple[pa.Schema, int]:
    """Writes the rows of a file as Parquet with the columns of its table, or a file that stands for it.

    Args:
        file: in UTF-8, not packed.
        kind: its format.
        options: how it is read.
        table: its table.
        to: what is written.
        lasting: whether the file stays where it is.

    Returns:
        the columns, and how many rows there are.

    Raises:
        Irregular: when that would not be the same as its rows in the table.
        Broken: when the file is not what its format says.
    """
    if kind not in ("csv", "jsonl", "parquet"):
        raise Irregular(f"{kind} is read row by row")
    if not file.stat().st_size:
        return pa.schema([]), 0
    with _told(file):
        if kind == "csv":
            return _csv_written(file, options, table, to, lasting)
        if kind == "jsonl":
            return _jsonl_written(file, table, to, lasting)
        with parquet_columns.opened(file) as contents:
            return _put(file, contents, table, to, lasting)


def _put(file: Path, contents: Contents, table: Table, to: Path, lasting: bool) -> tuple[pa.Schema, int]:
    columns = table.columns(contents)
    ids = any(column.field.name == ROW_ID for column in columns)
    if lasting and contents.relation is not None and not ids and external.worthwhile(file):
        return refer(to, file, contents.relation, columns), 1
    return write(to, contents, columns)


def _csv_written(file: Path, options: Options, table: Table, to: Path, lasting: bool) -> tuple[pa.Schema, int]:
    with closing(duckdb.connect()) as database:
        csv = options.csv(database, file)
        try:
            return _put(file, csv.likely(), table, to, lasting)
        except Unlike:
            return _put(file, csv.certain(), table, to, lasting)


def _jsonl_written(file: Path, table: Table, to: Path, lasting: bool) -> tuple[pa.Schema, int]:
    with closing(duckdb.connect()) as database:
        contents = jsonl_columns.contents(database, file, table.said, dlt_files.taken_for_time)
        try:
            return _put(file, contents, table, to, lasting)
        except Unlike as error:
            raise Irregular("a document of it is not like the first ones") from error


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Errors of those who read are told as what is wrong with the file. Raises `Broken`."""
    try:
        yield
    except duckdb.Error as error:
        if "unicode" in str(error).lower() and (other := _in_another_encoding(file)):
            raise other from error
        # What follows is advice for who writes SQL.
        raise Broken(" ".join(str(error).partition("Possible")[0].split())) from error
    except pa.ArrowException as error:
        raise Broken(str(error)) from error


def _in_another_encoding(file: Path) -> Broken | None:
    """Where a text is not in UTF-8; None where it is."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return Broken(f"it is not in UTF-8 (byte {error.start + 1}: {line[error.start]:#x})", number, ENCODINGS)
    return None


def _csv(file: Path, options: Options) -> Iterator[list[Row]]:
    with _told(file), closing(duckdb.connect()) as database:
        yield from options.csv(database, file).rows(PAGE)


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
        # Without its end: what is missing there would be missing in the next line.
        return json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        raise Broken(f"{error.msg} (column {error.colno})", number) from error


def _object(value: Any, line: int) -> Row:
    if not isinstance(value, dict):
        raise Broken(f"a row is an object, this is {json.dumps(value)[:40]}", line)
    return value


def _parquet(file: Path, options: Options) -> Iterator[list[Row]]:
    with _told(file):
        yield from parquet_columns.rows(file, PAGE)


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
    names = distinct(first if header else [None] * len(first))
    if not header:
        yield dict(zip(names, first, strict=True))
    for row in filled:
        # A row is as long as its last filled cell; one beyond the header has no name yet.
        names += distinct([None] * (len(row) - len(names)), len(names))
        yield dict(zip(names, map(_cell, row), strict=False))


def _cell(value: Any) -> Any:
    return None if value == "" else str(value) if isinstance(value, dt.timedelta) else value


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
