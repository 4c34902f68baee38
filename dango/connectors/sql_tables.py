"""Databases: dlt's `sql_database` over one engine, with each column read as what it is."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal
from functools import partial
from typing import Any

import sqlalchemy as sa
from dlt.sources import DltSource
from dlt.sources.credentials import ConnectionStringCredentials
from dlt.sources.sql_database import sql_database

from dango.connectors.sql_engine import TABLES_AT_ONCE, engine_of, url_of
from dango.connectors.sql_errors import place, translated
from dango.connectors.warehouse_types import readable
from dango.databases.loader import Exact, loader
from dango.errors import SourceError, near

LARGEST = 2**63 - 1
DIGITS, SCALE = 38, 9
"""What dlt makes of a decimal whose column does not say."""


def source(
    credentials: ConnectionStringCredentials,
    schema: str | None,
    table_names: list[str] | None,
    chunk_size: int,
    connect: Mapping[str, Any] | None,
    *,
    arrow: bool,
) -> DltSource:
    """As `dango.connectors.sql.tables`."""
    url = url_of(credentials)
    with translated(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # of types that SQLAlchemy does not know; they come as text
        engine = engine_of(url, connect)
        if table_names:
            _require(engine, schema, table_names)
        return sql_database(
            credentials=engine,
            schema=schema,
            table_names=table_names,
            chunk_size=chunk_size,
            backend="sqlalchemy",
            table_adapter_callback=partial(readable, dialect=engine.dialect.name),
            table_loader_class=loader(Rows, arrow=arrow),
        )


def _require(engine: sa.Engine, schema: str | None, wanted: list[str]) -> None:
    names = names_in(sa.inspect(engine), schema)
    if missing := next((name for name in wanted if name not in names), None):
        raise SourceError(
            f"there is no table `{missing}`{near(missing, names)} in {schema or place(engine.url)}",
            f"names are written as the database has them: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}",
            loc=("resources", missing),
        )


def extent(
    table: str,
    column: str,
    credentials: ConnectionStringCredentials | Mapping[str, Any] | str,
    schema: str | None = None,
    connect: Mapping[str, Any] | None = None,
    **_: Any,
) -> tuple[Any, Any] | None:
    """The least and the greatest value of a column; None where there is none. Called as `tables` is.

    Raises:
        SourceError: when the database cannot be reached, or the table has no such column.
    """
    url = url_of(credentials)
    with translated(url):
        engine = engine_of(url, connect)
        try:
            types = {found["name"]: found["type"] for found in sa.inspect(engine).get_columns(table, schema)}
            if column not in types:
                raise SourceError(
                    f"the table `{table}` has no column `{column}`{near(column, types)}",
                    f"its columns: {', '.join(types)}",
                    loc=("resources", table, "split", "column"),
                )
            which: sa.ColumnClause[Any] = sa.column(column, types[column])
            asked = sa.select(sa.func.min(which), sa.func.max(which))
            with engine.connect() as connection:
                low, high = connection.execute(asked.select_from(sa.table(table, which, schema=schema))).one()
        finally:
            engine.dispose()
    return None if low is None else (low, high)


def names_in(inspector: sa.Inspector, schema: str | None) -> list[str]:
    """All tables and views that can be loaded."""
    names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    # Only some databases have such, and SQLAlchemy says it so of the others.
    try:
        return [*names, *inspector.get_materialized_view_names(schema)]
    except NotImplementedError:
        return names


class Rows(Exact):
    """The rows of one table, from where its cursor stands."""

    def __init__(
        self, engine: sa.Engine, backend: Any, table: sa.Table, columns: Any, *, incremental: Any = None, **kwargs: Any
    ) -> None:
        if incremental and incremental.cursor_path not in table.columns:
            cursor, names = incremental.cursor_path, [column.name for column in table.columns]
            raise SourceError(
                f"the table `{table.name}` has no column `{cursor}`{near(cursor, names)}",
                f"its columns: {', '.join(names)}",
                loc=("resources", table.name, "cursor", "field"),
            )
        super().__init__(engine, backend, table, columns, incremental=incremental, **kwargs)
        if self.cursor_column is not None:
            self.last_value = fitted(self.last_value, self.cursor_column.type)
            self.end_value = fitted(self.end_value, self.cursor_column.type)
        if self.on_cursor_value_missing == "raise":
            # A row without a cursor is an error that dlt tells; SQL would leave it out and say nothing.
            self.on_cursor_value_missing = "include"

    def load_rows(self, backend_kwargs: dict[str, Any] | None = None) -> Iterator[Any]:
        """Arrow tables or lists of rows; None as long as it is not this table's turn."""
        # dlt begins with all resources at once, and each holds a connection until its table is read.
        while self.engine.pool.checkedout() >= TABLES_AT_ONCE:  # type: ignore[attr-defined]
            yield None
        with translated(self.engine.url):
            yield from super().load_rows(backend_kwargs)

    def dicts(self, backend_kwargs: dict[str, Any]) -> Iterator[Any]:
        """Lists of rows, each value checked."""
        checks = self.checks()
        for rows in super().dicts(backend_kwargs):
            for name, check in checks.items():
                for row in rows:
                    row[name] = check(row[name])
            yield rows

    def checks(self) -> Mapping[str, Callable[[Any], Any]]:
        """Of decimals, and of integers that may be larger than any in the destination."""
        return dict(self._checks())

    def _checks(self) -> Iterator[tuple[str, Callable[[Any], Any]]]:
        for column in self.table.columns:
            hints = self.columns.get(column.name, {})
            where = f"{self.table.name}.{column.name}"
            if hints.get("data_type") == "decimal":
                yield column.name, _decimals(where, hints.get("precision") or DIGITS, _scale(hints))
            elif hints.get("data_type") == "bigint" and getattr(column.type, "unsigned", False):
                yield column.name, _integers(where)


def _scale(hints: Mapping[str, Any]) -> int:
    scale = hints.get("scale")
    return scale if scale is not None else 0 if hints.get("precision") else SCALE


def _decimals(where: str, precision: int, scale: int) -> Callable[[Any], Any]:
    """Rounds to what the column of the destination has, as a database would; what it has no room for is an error."""
    room, step, context = 10 ** (precision - scale), Decimal(1).scaleb(-scale), Context(prec=200)

    def fit(value: Any) -> Any:
        if not isinstance(value, Decimal):
            return value
        if not value.is_finite() or abs(value) >= room:
            raise _too_large(where, f"a decimal of {precision} digits, {scale} of them after the point", "double")
        return value.quantize(step, context=context)

    return fit


def _integers(where: str) -> Callable[[Any], Any]:
    def fit(value: Any) -> Any:
        if isinstance(value, int) and value > LARGEST:
            raise _too_large(where, f"an integer, which ends at {LARGEST}", "decimal, precision: 20, scale: 0")
        return value

    return fit


def _too_large(where: str, kind: str, other: str) -> SourceError:
    table, _, column = where.partition(".")
    hints = f"{{{table}: {{columns: {{{column}: {{data_type: {other}}}}}}}}}"
    return SourceError(
        f"{where} has a value that is not {kind}",
        f"say in sources.yml what it is to be: resources: {hints}",
        loc=("resources", table),
    )


def fitted(value: Any, kind: Any) -> Any:
    """An instant in the form in which the cursor's column is compared; what has no zone is in UTC."""
    if not isinstance(value, dt.datetime):
        return value
    moment = value.astimezone(dt.timezone.utc) if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)
    if isinstance(kind, sa.String):
        return moment.date().isoformat()
    if isinstance(kind, sa.Date):
        return moment.date()
    if getattr(kind, "timezone", False) and not getattr(kind, "naive", False):
        return moment
    return moment.replace(tzinfo=None)
