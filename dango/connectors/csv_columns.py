"""CSV read by DuckDB: a column is of the narrowest type that gives every value of it back as it is written.

So a number with leading zeros stays text, and with it the whole column. All values count; but the first rows tell
which types it can have, and the others are checked while they are read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dango.connectors.file_tables import ROWS, Contents
from dango.connectors.headers import distinct
from dango.duckdb_text import literal, quoted

_DELIMITERS = (",", ";", "\t", "|")
_WHOLE = r"0|-?[1-9][0-9]{0,18}"
_EXPONENT = r"[eE][-+]?[0-9]+"
# A fraction is the nearest that a double has; of whole numbers it has all up to fifteen digits, and then some not.
_DECIMAL = rf"-?((0|[1-9][0-9]*)(\.[0-9]+({_EXPONENT})?|{_EXPONENT})|0|[1-9][0-9]{{0,14}})"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = _DATE + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_PATTERNS: Mapping[str, str] = {
    "BIGINT": _WHOLE,
    "DOUBLE": _DECIMAL,
    "BOOLEAN": "(?i)true|false",
    "DATE": _DATE,
    "TIMESTAMP": _TIME,
    "TIMESTAMPTZ": _TIME + r"(Z|[-+][0-9]{2}:?[0-9]{2})",
}
"""DuckDB's types but for text, the narrowest first, and how their values are written."""
_TYPES: Mapping[str, str] = {
    "BIGINT": "bigint", "DOUBLE": "double", "BOOLEAN": "bool", "DATE": "date", "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamp", "VARCHAR": "text",
}  # fmt: skip
_SAMPLE, _FEW = 20_000, 100

Kinds = Mapping[str, str]
"""DuckDB's type of each column that holds a value."""


class Unlike(Exception):
    """A row is not like the first ones, or the file is broken."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The columns that stay text, whatever they look like in a file.

    Attributes:
        said: the type in the table of a file's column, where it has one. What is text there is to stay as it is
            written, and a decimal would lose digits on its way through a double.
        met: those that earlier files, read row by row, have made text without the table knowing yet.
    """

    said: Callable[[str], str | None] = lambda name: None
    met: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.met or self.said(name) in ("text", "decimal", "wei")


class Csv:
    """A CSV file in DuckDB. What is wrong with the file raises `duckdb.Error`, wherever it is read.

    Args:
        database: a connection of its own.
        file: in UTF-8.
        delimiter: found in the first line where it is None.
        header: whether the first line has the names.
        texts: the columns that stay text; those that its rows make text come to them.
    """

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        file: Path,
        delimiter: str | None,
        header: bool,
        texts: Texts,
    ) -> None:
        delimiter = delimiter or _delimiter(file)
        with file.open(encoding="utf-8-sig", newline="", errors="replace") as lines:
            first = next(csv.reader(lines, delimiter=delimiter), [])
        self.names = distinct(first if header else [None] * len(first))
        self._texts = texts
        self._database = database
        database.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in self.names)
        # Left to itself DuckDB passes over lines at the top until the rest is of one shape: rows would be lost.
        self._rows = (
            f"read_csv({literal(str(file))}, auto_detect = false, columns = {{{columns}}}, header = {header},"
            f" delim = {literal(delimiter)}, quote = '\"', escape = '\"')"
        )

    def kinds(self) -> Kinds:
        """The types by all values."""
        return {name: next(iter(kinds), "VARCHAR") for name, kinds in self._fitting(self._rows, self._possible).items()}

    def rows(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """The rows, so many at a time."""
        kinds = self.kinds()
        self._texts.met.update(name for name, kind in kinds.items() if kind == "VARCHAR")
        relation = self._cast({**dict.fromkeys(self.names, "VARCHAR"), **kinds})
        with self._batches(relation, size) as batches:
            for batch in batches:
                yield batch.to_pylist()

    def likely(self) -> Contents:
        """What the file holds if all rows are like the first ones; one that is not raises `Unlike`."""
        held = {name: next(iter(kinds), "VARCHAR") for name, kinds in self._possible.items() if name in self._first}
        return self._contents(held, self._checked(held), self._like)

    def certain(self) -> Contents:
        """What the file holds by all of its rows."""
        kinds = self.kinds()
        return self._contents(kinds, self._cast(kinds), self._batches)

    def _contents(self, kinds: Kinds, relation: str, batches: Any) -> Contents:
        return Contents(
            types={name: _TYPES[kind] for name, kind in kinds.items()},
            first={name: self._first_of(name) for name, kind in kinds.items() if kind == "VARCHAR"},
            batches=lambda: batches(relation, ROWS),
            relation=relation,
        )

    # --- types ------------------------------------------------------------------------------------

    @cached_property
    def _sample(self) -> str:
        # LIMIT takes the rows at the top, as DuckDB keeps their order.
        self._database.execute(f"CREATE TEMP TABLE sample AS SELECT * FROM {self._rows} LIMIT {_SAMPLE}")
        return "sample"

    @cached_property
    def _first(self) -> Mapping[str, str]:
        """The first value of each column that has one in the sample."""
        firsts = ", ".join(f"arg_min({quoted(name)}, rowid)" for name in self.names)
        values = self._row(f"SELECT {firsts} FROM {self._sample}")
        return {name: value for name, value in zip(self.names, values, strict=True) if value is not None}

    def _first_of(self, name: str) -> str:
        if name in self._first:
            return self._first[name]
        query = f"SELECT {quoted(name)} FROM {self._rows} WHERE {quoted(name)} IS NOT NULL LIMIT 1"
        return str(self._row(query)[0])

    @cached_property
    def _possible(self) -> Mapping[str, list[str]]:
        """The types that each column can have, by the first rows."""
        every = {name: [] if name in self._texts else list(_PATTERNS) for name in self.names}
        # A few rows leave few types for the others to be tried for.
        some = {**every, **self._fitting(f"(FROM {self._sample} WHERE rowid < {_FEW})", every)}
        return {**every, **self._fitting(self._sample, some)}

    def _fitting(self, relation: str, asked: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Those of the types that fit all values, of the columns that have any."""
        tests = [(name, kind) for name, kinds in asked.items() for kind in kinds]
        counts = [f"count({quoted(name)}) > 0" for name in asked]
        fits = [f"bool_and({_fits(name, kind)})" for name, kind in tests]
        answers = self._row(f"SELECT {', '.join([*counts, *fits])} FROM {relation}")
        found: dict[str, list[str]] = {name: [] for name, held in zip(asked, answers, strict=False) if held}
        for (name, kind), fitting in zip(tests, answers[len(asked) :], strict=True):
            if fitting:
                found[name].append(kind)
        return found

    def _row(self, query: str) -> tuple[Any, ...]:
        # All that there is: DuckDB takes no other statement before.
        return tuple(self._database.execute(query).fetchall()[0])

    # --- rows -------------------------------------------------------------------------------------

    @contextmanager
    def _batches(self, relation: str, size: int) -> Iterator[Iterator[pa.RecordBatch]]:
        with self._database.sql(f"FROM {relation}").to_arrow_reader(size) as reader:
            yield reader

    @contextmanager
    def _like(self, relation: str, size: int) -> Iterator[Iterator[pa.RecordBatch]]:
        try:
            with self._batches(relation, size) as batches:
                yield batches
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            # By then the rows are under way in Arrow's stream, which has errors of its own.
            raise Unlike(str(error)) from error

    def _cast(self, kinds: Kinds) -> str:
        columns = ", ".join(f"{_cast(name, kind)} AS {quoted(name)}" for name, kind in kinds.items())
        return f"(SELECT {columns} FROM {self._rows})"

    def _checked(self, kinds: Kinds) -> str:
        # Below, so that each value is parsed once; no name of the file's is met there.
        numbered = list(enumerate(kinds.items()))
        parsed = [f"{quoted(name)} AS r{n}, {_cast(name, kind)} AS v{n}" for n, (name, kind) in numbered]
        columns = [f"{_checked(f'r{n}', f'v{n}', kind)} AS {quoted(name)}" for n, (name, kind) in numbered]
        empty = " AND ".join(f"{quoted(name)} IS NULL" for name in self.names if name not in kinds)
        where = f" WHERE {_expected(empty)}" if empty else ""
        return f"(SELECT {', '.join(columns)} FROM (SELECT {', '.join(parsed)} FROM {self._rows}{where}))"


def _expected(condition: str) -> str:
    """A condition that is always met, or an error."""
    return f"CASE WHEN {condition} THEN true ELSE error('unlike') END"


def _fits(name: str, kind: str) -> str:
    column = quoted(name)
    value = f"TRY_CAST({column} AS {kind})"
    fits = f"isfinite({value})" if kind == "DOUBLE" else f"{value} IS NOT NULL"
    return f"regexp_full_match({column}, '{_PATTERNS[kind]}') AND {fits}"


def _cast(name: str, kind: str) -> str:
    """A value in its type; a time without a zone is one of UTC."""
    cast = f"CAST({quoted(name)} AS {kind})"
    return f"CAST({cast} AS TIMESTAMPTZ)" if kind == "TIMESTAMP" else cast


# What is written so as DuckDB writes it needs no pattern, which takes three times as long.
_AGAIN: Mapping[str, str] = {"BIGINT": "strlen({0}) < 21", "DATE": "strlen({0}) = 10"}


def _checked(written: str, value: str, kind: str) -> str:
    if kind == "VARCHAR":
        return value
    again = ""
    if kind in _AGAIN:
        again = f" WHEN {_AGAIN[kind].format(written)} AND CAST({value} AS VARCHAR) = {written} THEN {value}"
    finite = f" AND isfinite({value})" if kind == "DOUBLE" else ""
    return (
        f"CASE WHEN {written} IS NULL THEN NULL{again}"
        f" WHEN regexp_full_match({written}, '{_PATTERNS[kind]}'){finite} THEN {value} ELSE error('unlike') END"
    )


def _delimiter(file: Path) -> str:
    """The one that is most often in the first line; what is quoted does not count."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        plain = re.sub(r'"(?:[^"]|"")*"', "", next(lines, ""))
    return max(_DELIMITERS, key=plain.count)
