"""A destination that is asked: its database, open for reading, whatever it takes to get there.

This process imports neither dlt nor any code of the project: where a database is, a worker finds out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from dango import packages
from dango.config.models import Destination, Source
from dango.errors import MissingPackage, NothingLoaded, UsageError
from dango.job import Address, RunError, as_error
from dango.load.access import lock_file
from dango.project import NATIVE, Project
from dango.readers import Answer, Column, Database
from dango.workers.supervision import prepare, watch

READ = ("duckdb", "postgres")
"""The types of destinations that can be asked."""

# What is asked concerns the destination alone, also in a project without a source.
_NOBODY = Source.model_construct(name="query", type=NATIVE)

__all__ = ["READ", "Answer", "Column", "Database", "destination", "opened"]


def destination(project: Project, name: str | None) -> Destination:
    """The destination of that name, or the project's. Raises `DestinationNotFound`."""
    return project.destination(_NOBODY, name)


@contextmanager
def opened(project: Project, destination: Destination, *, files: bool = False) -> Iterator[Database]:
    """The database of a destination, open for reading until the end of the block.

    Args:
        project: whose destination it is.
        destination: of one of the types in `READ`.
        files: whether statements on an embedded database may see files beside it.

    Raises:
        UsageError: of another type, or where its driver is not installed.
        NothingLoaded: where there is no file yet.
        Held: where another process writes the file.
        DestinationError: where it cannot be reached.
    """
    if destination.type not in READ:
        raise UsageError(
            f"destination `{destination.name}` is of the type `{destination.type}`, which dango does not read",
            f"it reads {' and '.join(READ)}; others have tools of their own",
        )
    if files and destination.type != "duckdb":
        raise UsageError(f"--allow-files is for DuckDB; `{destination.name}` is of the type `{destination.type}`")
    with _connection(project, destination, files) as database:
        yield database


def _connection(project: Project, destination: Destination, files: bool) -> AbstractContextManager[Database]:
    if destination.type == "postgres":
        if missing := packages.missing(["psycopg2"]) and packages.missing(["psycopg2-binary"]):
            raise MissingPackage("the driver of PostgreSQL is not installed", packages.install(missing))
        from dango.readers import postgres

        return postgres.opened(_address(project, destination), destination.name)
    file = project.warehouse if destination.embedded else Path(_address(project, destination))
    if not file.exists():
        raise NothingLoaded(f"nothing was loaded into `{destination.name}` yet: there is no {file}", "dango sync")
    from dango.readers import embedded

    return embedded.opened(file, destination.name, lock_file(project.root, file), files=files)


def _address(project: Project, destination: Destination) -> str:
    """Where the database is, as dlt reads it from the project's settings."""
    project.require_environment([], [destination])
    prepare(project)
    job = project.job(_NOBODY, destination=destination.name)
    with closing(watch(project, "worker:address", job, _NOBODY.name)) as values:
        for value in values:
            if isinstance(value, Address):
                return value.text
            if isinstance(value, RunError):
                raise as_error(value)
    raise AssertionError("a worker ends with a value or an error")
