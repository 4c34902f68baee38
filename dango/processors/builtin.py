"""The built-in processors. Each says what becomes of a record and of a table, and both come to the same.

What a table cannot bear as a whole (a value that is no number) is done record by record, and only those fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from dango.config import conditions
from dango.config.processors import columns_of
from dango.errors import ProcessorFailed
from dango.failed import Failed
from dango.processors import values
from dango.processors.members import ByRecord
from dango.processors.pages import Page, columns

_PATH = "__"
"""Between the names of what is nested, as dlt has it."""


class BuiltIn(ByRecord):
    """A processor of dango's own, made of its settings as they are written; its name stands in `pyproject.toml`.

    Attributes:
        columns: those that it names.
    """

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        super().__init__(name, self.record)
        self.columns = tuple(columns)
        self._unseen = set(columns)

    def record(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What becomes of a record; None for none. Raises `ValueError` where nothing can."""
        raise NotImplementedError

    def table(self, table: pa.Table) -> pa.Table:
        """What becomes of a table. Raises `ValueError`, or Arrow's errors, where it has records that fail."""
        raise NotImplementedError

    def page(self, page: Page) -> Iterator[Page]:
        """A table at once where that goes, and its records one by one where some of them fail."""
        self._see(page)
        if not isinstance(page, pa.Table):
            yield from super().page(page)
            return
        try:
            made = self.table(page)
        except (ValueError, TypeError, ArithmeticError, pa.ArrowException):
            yield from super().page(page)
            return
        self.count.taken += len(page)
        self.count.given += len(made)
        self.count.dropped += len(page) - len(made)
        yield made

    @property
    def missing(self) -> tuple[str, ...]:
        """Columns that it names and that no record had."""
        return tuple(name for name in self.columns if name in self._unseen) if self.count.taken else ()

    def failed(self, failed: Failed) -> None:
        """A record that failed; no line of dango's own code is to blame."""
        failed.lines = ()
        super().failed(failed)

    def _see(self, page: Page) -> None:
        if self._unseen:
            for keys in [page.column_names] if isinstance(page, pa.Table) else page:
                self._unseen.difference_update(keys)


class Rename(BuiltIn):
    """Gives columns other names."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__("rename", list(settings))
        self._names = dict(settings)

    def record(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        made = {self._names.get(name, name): value for name, value in row.items()}
        if len(made) < len(row):
            raise self._twice(list(row))
        return made

    def table(self, table: pa.Table) -> pa.Table:
        names = [self._names.get(name, name) for name in table.column_names]
        if len({*names}) < len(names):
            raise self._twice(table.column_names)
        return table.rename_columns(names)

    def veil(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Under the new names, by which later processors know what is to be hidden."""
        return {self._names.get(name, name): value for name, value in row.items()}

    def _twice(self, names: Sequence[str]) -> ProcessorFailed:
        old, new = next((o, n) for o, n in self._names.items() if o in names and n in names)
        return ProcessorFailed(f"`rename` makes `{old}` a second `{new}`", f"drop `{new}` first, or take another name")


class _Of(BuiltIn):
    """A processor of some columns, the others of which stay."""

    def record(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        made = dict(row)
        for name in self.columns:
            if made.get(name) is not None:
                made[name] = self._value(name, made[name])
        return made

    def table(self, table: pa.Table) -> pa.Table:
        for index, name in enumerate(table.column_names):
            if name in self.columns:
                table = table.set_column(index, name, self._column(name, table.column(index)))
        return table

    def _value(self, name: str, value: Any) -> Any:
        raise NotImplementedError

    def _column(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        raise NotImplementedError


class _Hiding(_Of):
    """A processor whose columns nobody is to see."""

    def veil(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without what would have been hidden."""
        return {name: values.HIDDEN if name in self.columns else value for name, value in row.items()}


class Drop(_Hiding):
    """Leaves columns out."""

    def __init__(self, settings: Any) -> None:
        super().__init__("drop", columns_of(settings))

    def record(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: value for name, value in row.items() if name not in self.columns}

    def table(self, table: pa.Table) -> pa.Table:
        return table.drop_columns([name for name in self.columns if name in table.column_names])


class _Text(_Hiding):
    """Puts text in the place of values."""

    def __init__(self, name: str, settings: Any, convert: values.Convert) -> None:
        super().__init__(name, columns_of(settings))
        self._convert = convert

    def _value(self, name: str, value: Any) -> str:
        return str(self._convert(value))

    def _column(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        return values.mapped(column, self._convert, pa.string())


class Mask(_Text):
    """Hides values, but for a few characters at their end where that is asked for."""

    def __init__(self, settings: Any) -> None:
        keep = settings.get("keep", 0) if isinstance(settings, Mapping) else 0
        super().__init__("mask", settings, values.masked(keep))


class Hash(_Text):
    """Puts in the place of values what tells them apart and does not tell what they are."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__("hash", settings, values.hashed(settings["salt"]))


class Cast(_Of):
    """Makes values of another type; a record with one that cannot be fails."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__("cast", list(settings))
        self._kinds = dict(settings)
        self._casts = {name: values.cast(kind) for name, kind in settings.items()}

    def becoming(self, schema: pa.Schema) -> pa.Schema:
        """With the types that are wanted, also where the records of a table are done one by one."""
        for index, name in enumerate(schema.names):
            if name in self._kinds:
                schema = schema.set(index, pa.field(name, values.CASTS[self._kinds[name]][1]))
        return schema

    def _value(self, name: str, value: Any) -> Any:
        try:
            return self._casts[name](value)
        except (ValueError, TypeError, ArithmeticError):
            # Says nothing of the value, which a later processor may hide.
            raise ValueError(f"`{name}` is no {self._kinds[name]}") from None

    def _column(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        return values.cast_column(column, self._kinds[name])


class Flatten(BuiltIn):
    """Makes columns of what is nested in a column, and in it: `address` becomes `address__city` and so on."""

    def __init__(self, settings: Any) -> None:
        super().__init__("flatten", columns_of(settings))
        self._all = settings is None

    def record(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        made: dict[str, Any] = {}
        for name, value in row.items():
            flat = self._flat(name, value) if self._all or name in self.columns else [(name, value)]
            for key, each in flat:
                if key in made:
                    raise self._twice(key)
                made[key] = each
        return made

    def _flat(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        if not isinstance(value, Mapping):
            yield name, value
            return
        for key, inner in value.items():
            yield from self._flat(f"{name}{_PATH}{key}", inner)

    def table(self, table: pa.Table) -> pa.Table:
        made: dict[str, Any] = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            flat = self._flat_column(name, column) if self._all or name in self.columns else [(name, column)]
            for key, each in flat:
                if key in made:
                    raise self._twice(key)
                made[key] = each
        return pa.table(made)

    def _flat_column(self, name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, pa.ChunkedArray]]:
        if not pa.types.is_struct(column.type):
            yield name, column
            return
        for field, inner in zip(column.type, column.flatten(), strict=True):
            yield from self._flat_column(f"{name}{_PATH}{field.name}", inner)

    def _twice(self, name: str) -> ProcessorFailed:
        return ProcessorFailed(f"`flatten` makes a second `{name}`", f"drop or rename `{name}` first")


class Filter(BuiltIn):
    """Keeps the records of which a condition is true; where it is null, as SQL has it, they go."""

    gathers = True

    def __init__(self, settings: str) -> None:
        super().__init__("filter", conditions.columns(settings))
        self._has_answered = False
        self._database = duckdb.connect(":memory:", config={"threads": 1})
        # A condition is asked of the rows, and of nothing else.
        self._database.execute("SET TimeZone = 'UTC'; SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")
        self._query = f"SELECT CAST((\n{settings}\n) AS BOOLEAN) AS keep FROM page"  # noqa: S608 - is the user's own

    def page(self, page: Page) -> Iterator[Page]:
        """A page at once, also one of records; one by one where some of them cannot be asked."""
        if isinstance(page, pa.Table):
            yield from super().page(page)
            return
        try:
            keep = self._keep(columns(page, self._present(page))).to_pylist()
        except (ValueError, ProcessorFailed):
            yield from super().page(page)
            return
        self._see(page)
        made = [row for row, wanted in zip(page, keep, strict=True) if wanted]
        self.count.taken += len(page)
        self.count.given += len(made)
        self.count.dropped += len(page) - len(made)
        if made:
            yield made

    def record(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return row if self._keep(columns([row], self._present([row]))).to_pylist()[0] else None

    def table(self, table: pa.Table) -> pa.Table:
        return table.filter(pc.fill_null(self._keep(table), False))

    def close(self) -> None:
        """Closes the database in which conditions are asked."""
        self._database.close()
        super().close()

    def _present(self, page: Sequence[Mapping[str, Any]]) -> list[str]:
        """The keys that the condition names, as the records have them: SQL makes no difference of case."""
        wanted = {name.lower() for name in self.columns}
        keys = dict.fromkeys(key for row in page for key in row if str(key).lower() in wanted)
        return list(keys)

    def _keep(self, table: pa.Table) -> pa.ChunkedArray:
        self._database.register("page", self._asked_of(table))
        try:
            found: Any = self._database.sql(self._query).to_arrow_table()
        except duckdb.Error as error:
            said = str(error).partition("\n")[0]
            if self._has_answered or isinstance(error, duckdb.ConversionException):
                # The condition is well; these records are not.
                raise ValueError(said) from None
            raise ProcessorFailed(
                f"`filter`: {said}", "`cast` before it makes values of the type that it needs"
            ) from error
        finally:
            self._database.unregister("page")
        self._has_answered = True
        return found["keep"]

    def _asked_of(self, table: pa.Table) -> pa.Table:
        """The columns of which the condition speaks; null where there is none."""
        wanted = {name.lower(): name for name in self.columns}
        made = {name: table[name] for name in table.column_names if wanted.pop(name.lower(), None)}
        made |= {name: pa.nulls(len(table)) for name in wanted.values()}
        # One that speaks of none is asked for each row all the same.
        return pa.table(made or {"": pa.nulls(len(table))})

    def _see(self, page: Page) -> None:
        if self._unseen:
            keys = page.column_names if isinstance(page, pa.Table) else [key for row in page for key in row]
            there = {str(key).lower() for key in keys}
            self._unseen = {name for name in self._unseen if name.lower() not in there}
