"""Databases as a source. What reads them, SQLAlchemy among it, is imported when they are read: to fit a source's
arguments, its signature is enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dlt
from dlt.sources import DltSource
from dlt.sources.credentials import ConnectionStringCredentials

LATER = ("dango.connectors.sql_tables",)
"""What a sync imports besides."""


def tables(
    credentials: ConnectionStringCredentials = dlt.secrets.value,
    schema: str | None = None,
    table_names: list[str] | None = None,
    chunk_size: int = 20_000,
    arrow: bool = True,
    connect: Mapping[str, Any] | None = None,
) -> DltSource:
    """A source with a resource for each table of a database.

    Args:
        credentials: a SQLAlchemy URL, or its parts.
        schema: where the tables are; where the user's tables are if it is not given.
        table_names: tables and views; without them every table, and no view.
        chunk_size: rows that are fetched at once.
        arrow: tables whose values Arrow holds exactly are read so; without it, all come as dicts.
        connect: what the driver connects with besides what the URL can say.

    Raises:
        SourceError: when the database cannot be reached, or there is no table of a name.
        MissingPackage: when the driver is not installed.
    """
    from dango.connectors import sql_tables

    return sql_tables.source(credentials, schema, table_names, chunk_size, connect, arrow=arrow)
