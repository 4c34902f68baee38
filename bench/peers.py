"""What else loads data: found where `make bench-peers` puts it, left out where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.data import Data, Table
from bench.measure import Contestant
from tests.postgres_server import Postgres


@dataclass(frozen=True, slots=True)
class Input:
    """What is to be loaded: a table's rows, in a file or in a PostgreSQL database."""

    table: Table
    rows: int
    file: Path | None = None
    database: tuple[Postgres, str] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Where to: a PostgreSQL database; None for a DuckDB file."""

    database: Postgres | None = None


def contestants(
    given: Input, wanted: Output, folder: Path, data: Data
) -> tuple[Mapping[str, Contestant], dict[str, str]]:
    return {}, {}
