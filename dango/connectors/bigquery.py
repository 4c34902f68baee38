"""BigQuery by its SQLAlchemy dialect, once it is certain that somebody is let in."""

from __future__ import annotations

import base64
from typing import Any

import dlt
import requests
from dlt.sources import DltSource
from dlt.sources.credentials import ConnectionStringCredentials

from dango.connectors import sql, sql_catalog
from dango.connectors.oauth import GoogleServiceAccount
from dango.errors import SourceError
from dango.probe import Inspection

SCOPES = ("https://www.googleapis.com/auth/bigquery",)


def tables(
    project: str,
    dataset: str,
    credentials: str = dlt.secrets.value,
    location: str | None = None,
    table_names: list[str] | None = None,
) -> DltSource:
    """A source with a resource for each table of a dataset.

    Args:
        project: which holds the dataset, and pays for the queries.
        dataset: where the tables are.
        credentials: the JSON key of a service account.
        location: where the dataset is, such as EU.
        table_names: tables and views; without them every table, and no view.

    Raises:
        TokenError: when Google lets nobody in by these credentials.
        SourceError: when Google is not reached, or there is no table of a name.
        MissingPackage: when the dialect is not installed.
    """
    return sql.tables(_entered(project, dataset, credentials, location), table_names=table_names)


def inspect(project: str, dataset: str, credentials: str, location: str | None = None, **_: Any) -> Inspection:
    """Asks the dataset live. Raises `TokenError`, `SourceError` and `MissingPackage`."""
    return sql_catalog.inspect(_entered(project, dataset, credentials, location))


def _entered(project: str, dataset: str, credentials: str, location: str | None) -> ConnectionStringCredentials:
    """The dataset's address. A token is asked for first: the client tries in vain for ten minutes, and says nothing."""
    try:
        GoogleServiceAccount(project, credentials=credentials, scopes=SCOPES).obtain()
    except requests.ConnectionError as error:
        raise SourceError(
            "no connection to where Google gives tokens", "the network, a proxy or a firewall is in the way"
        ) from error
    query = {"credentials_base64": base64.b64encode(credentials.encode()).decode()}
    query |= {"location": location} if location else {}
    return ConnectionStringCredentials({"drivername": "bigquery", "host": project, "database": dataset, "query": query})
