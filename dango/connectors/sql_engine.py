"""Where a database is, and how it is connected to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import sqlalchemy as sa
from dlt.sources.credentials import ConnectionStringCredentials
from sqlalchemy.pool import QueuePool

from dango.connectors import sql_dialects as dialects
from dango.connectors.places import existing
from dango.connectors.sql_dialects import PATIENCE
from dango.errors import SourceError

TABLES_AT_ONCE = 4


def url_of(credentials: ConnectionStringCredentials | Mapping[str, Any] | str) -> sa.URL:
    """The address of a database, in any of the forms in which it is written. Raises `SourceError`."""
    url = _parsed(credentials)
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":", "file:")):
        return url.set(database=str(existing(url.database, "SQLite")))
    return url


def _parsed(credentials: ConnectionStringCredentials | Mapping[str, Any] | str) -> sa.URL:
    if isinstance(credentials, str):
        try:
            return sa.make_url(credentials)
        except (sa.exc.ArgumentError, ValueError) as error:
            # The text holds a password; it is not shown.
            raise SourceError(
                "this is no SQLAlchemy URL", "it looks like postgresql://user:password@host:5432/database"
            ) from error.with_traceback(None)
    if not isinstance(credentials, ConnectionStringCredentials):
        credentials = ConnectionStringCredentials(dict(credentials))
    # dlt has a type of its own for where SQLAlchemy is not installed.
    return cast(sa.URL, credentials.to_url())


def engine_of(url: sa.URL, connect: Mapping[str, Any] | None = None) -> sa.Engine:
    """An engine whose connections give up after some seconds, and say times in UTC.

    Args:
        url: where the database is.
        connect: what the driver connects with besides.
    """
    patience = PATIENCE.get(url.get_dialect().driver, {})
    arguments = {name: value for name, value in patience.items() if name not in url.query} | dict(connect or {})
    engine = sa.create_engine(url, connect_args=arguments, poolclass=QueuePool, pool_size=TABLES_AT_ONCE)
    if statement := dialects.of(engine.dialect.name).session:
        sa.event.listen(engine, "connect", partial(_said, statement))
    return engine


def _said(statement: str, connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()
    # psycopg2 begins a transaction with it; rolled back, the zone would be the old one again.
    connection.commit()
