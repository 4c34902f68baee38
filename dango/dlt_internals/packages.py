"""dlt's load packages and its destinations' clients: the semi-public names that loading needs, all in this file.

A load package is a folder of files, each with rows of one table, and the schema that they were normalised to. dlt
moves the files from folder to folder as it loads them; here they stay where they are until all is in the destination.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.schema import Schema
from dlt.common.schema.utils import get_root_table
from dlt.common.storages.load_package import (
    LoadPackageStateInjectableContext,
    PackageStorage,
    ParsedLoadJobFileName,
)
from dlt.common.time import increasing_precise_time
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.load.utils import _extend_tables_with_table_chain, get_completed_table_chain

from dango.external import External, read

# What dlt makes while it loads, of the other files.
_FOLLOWUPS = ("sql", "reference")

Client = Any
"""A `SqlJobClientWithStagingDataset` of dlt's: it knows a dataset's tables and how files get into them."""


@dataclass(frozen=True, slots=True)
class File:
    """Rows of one table, in a file of a load package."""

    table: str
    format: str
    path: Path

    @property
    def external(self) -> External | None:
        """The file outside of the package that it stands for."""
        return read(self.path) if self.format == "parquet" else None

    @property
    def rows(self) -> int:
        """How many rows it holds; where only reading all of it could tell, 1 for some."""
        if self.format == "parquet":
            # Here, since a sync that finds nothing new has no use for it, and it takes a tenth of a second.
            from pyarrow.parquet import read_metadata

            return 1 if self.external else int(read_metadata(self.path).num_rows)
        return int(self.path.stat().st_size > 0)


@dataclass(frozen=True, slots=True)
class Package:
    """A normalised load package."""

    load_id: str
    schema: Schema
    files: tuple[File, ...]
    refreshed: tuple[str, ...]
    """Tables whose rows it takes the place of, all of them: those of resources that are loaded anew."""
    refreshed_roots: tuple[str, ...]
    """Those of them that are not nested in another."""
    begun: bool
    """Whether dlt's own load step has worked on it, which commits file by file."""

    @property
    def referred(self) -> list[External]:
        """The files outside of it that it refers to."""
        return [file.external for file in self.files if file.external]

    @property
    def tables(self) -> set[str]:
        """The tables that it has files of."""
        return {file.table for file in self.files}

    def parquet(self, table: str) -> list[Path] | None:
        """A table's files where all are Parquet; none where there are none, None where some are not."""
        files = [file for file in self.files if file.table == table]
        return [file.path for file in files] if all(file.format == "parquet" for file in files) else None

    def rows(self, table: str) -> int:
        """How many rows it has for a table."""
        return sum(file.rows for file in self.files if file.table == table)

    def disposition(self, table: str) -> str:
        """How the table is written, which its root table says."""
        return str(get_root_table(self.schema.tables, table).get("write_disposition") or "append")

    def root(self, table: str) -> str:
        """The table at the top of a nested one; a root table itself."""
        return str(get_root_table(self.schema.tables, table)["name"])

    def extended(self, wanted: Callable[[str], bool]) -> list[str]:
        """The tables with files and those nested in them, as far as they are wanted, parents first."""
        found = set(_extend_tables_with_table_chain(self.schema, self.tables, self.tables, wanted))
        return [name for name in self.schema.tables if name in found]


def tables_of(schema: Schema, resources: Collection[str]) -> list[str]:
    """The tables of these resources, those nested in them too."""
    names = [str(table["name"]) for table in schema.data_tables()]
    return [name for name in names if get_root_table(schema.tables, name).get("resource") in resources]


def without_data(schema: Schema) -> Schema:
    """A schema of the same name that has dlt's own tables only."""
    bare = schema.clone()
    bare.drop_tables(schema.data_table_names(include_incomplete=True))
    # Else dlt takes it for one that somebody has changed behind its back.
    bare._bump_version()
    return bare


def load_ids_after(load_ids: Iterable[str]) -> None:
    """The load ids that this process makes from now on are above these, which are times, whatever its clock says.

    dlt takes the state that has the highest for the newest.
    """
    clock = increasing_precise_time
    times = (float(load_id) for load_id in load_ids if load_id.replace(".", "", 1).isdecimal())
    clock._last = max([clock._last, *times])


def waiting(pipeline: dlt.Pipeline) -> tuple[Package, ...]:
    """The normalised packages of a pipeline, the oldest first."""
    # First, since mostly there is none, and dlt resolves a configuration for each storage.
    load_ids = pipeline.list_normalized_load_packages()
    storage = _storage(pipeline) if load_ids else None
    return tuple(_package(storage, load_id) for load_id in load_ids) if storage else ()


def _storage(pipeline: dlt.Pipeline) -> PackageStorage:
    return pipeline._get_load_storage().normalized_packages


def _package(storage: PackageStorage, load_id: str) -> Package:
    files, begun = [], False
    for state, name in storage.list_all_jobs_with_states(load_id):
        begun = begun or state != PackageStorage.NEW_JOBS_FOLDER
        if name.file_format not in _FOLLOWUPS:
            path = storage.storage.make_full_path(storage.get_job_file_path(load_id, state, name.file_name()))
            files.append(File(name.table_name, name.file_format, Path(path)))
    dropped = storage.get_load_package_state(load_id).get("dropped_tables") or []
    refreshed = tuple(str(table["name"]) for table in dropped)
    roots = tuple(str(table["name"]) for table in dropped if not table.get("parent"))
    return Package(load_id, storage.load_schema(load_id), tuple(sorted(files, key=_order)), refreshed, roots, begun)


def _order(file: File) -> tuple[str, str]:
    return file.table, file.path.name


def without(package: Package, tables: Iterable[str]) -> None:
    """Takes the files of some tables out of a package; they are not loaded."""
    for file in package.files:
        if file.table in set(tables):
            file.path.unlink()


def extracted(pipeline: dlt.Pipeline) -> Path:
    """The folder of the packages that are not normalised yet."""
    return Path(pipeline.working_dir) / "normalize" / "extracted"


def extracted_rows(pipeline: dlt.Pipeline) -> bool:
    """Whether anything extracted is to be normalised. Packages without rows, and without tables to be emptied, are
    deleted, as dlt does when it normalises them, for a tenth of a sync that finds nothing new."""
    for load_id in pipeline.list_extracted_load_packages():
        storage = pipeline._get_normalize_storage().extracted_packages
        state = storage.get_load_package_state(load_id)
        if storage.list_new_jobs(load_id) or state.get("dropped_tables") or state.get("truncated_tables"):
            return True
        storage.delete_package(load_id)
    return False


def forget_extracted(pipeline: dlt.Pipeline) -> None:
    """What a run had normalised when it was killed may still stand among what is extracted; dlt would fail."""
    for load_id in {*pipeline.list_extracted_load_packages()} & {*pipeline.list_normalized_load_packages()}:
        shutil.rmtree(extracted(pipeline) / load_id)


def remove(pipeline: dlt.Pipeline, load_id: str) -> None:
    """Deletes a package, wherever it stands. In one step first, so that no half of it is ever found."""
    working = Path(pipeline.working_dir)
    for place in ("normalize/extracted", "load/normalized", "load/loaded"):
        folder = working / place / load_id
        if folder.exists():
            gone = working / f".{load_id}.gone"
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)
            shutil.rmtree(gone)


@contextmanager
def clients(pipeline: dlt.Pipeline, packages: Sequence[Package]) -> Iterator[list[Client]]:
    """A client for each package, each with its schema, all on one connection."""
    made: list[Client] = []
    for package in packages:
        client: Client = pipeline.destination_client(package.schema.name)
        client.schema = package.schema
        made.append(client)
    with connected(made[0].sql_client):
        for other in made[1:]:
            other.sql_client._conn = made[0].sql_client._conn
        try:
            yield made
        finally:
            for other in made[1:]:
                other.sql_client._conn = None


@contextmanager
def connected(sql: Any) -> Iterator[Any]:
    """An open SQL client. Raises `DestinationConnectionError`, which dlt does not for every database."""
    try:
        sql.open_connection()
    except sql.dbapi.Error as error:
        raise DestinationConnectionError(type(sql).__name__, sql.dataset_name, str(error), error) from error
    try:
        yield sql
    finally:
        sql.close_connection()


@contextmanager
def one_transaction(clients: Sequence[Client]) -> Iterator[None]:
    """All that these clients do in the block is committed at its end, or nothing is.

    dlt begins and commits transactions of its own in many places: in the block they are parts of this one. A
    statement that fails ends the transaction in the database; so nothing more is sent after it, even where dlt would
    go on, as each further statement would be committed by itself.
    """
    with clients[0].sql_client.begin_transaction(), ExitStack() as joined:
        broken: list[BaseException] = []
        for client in clients:
            joined.enter_context(_joined(client.sql_client, broken))
        yield
        if broken:
            raise broken[0]


@contextmanager
def _joined(sql: Any, broken: list[BaseException]) -> Iterator[None]:
    execute = sql.execute_query

    @contextmanager
    @functools.wraps(execute)
    def execute_query(*args: Any, **kwargs: Any) -> Iterator[Any]:
        if broken:
            raise broken[0]
        try:
            with execute(*args, **kwargs) as cursor:
                yield cursor
        except Exception as error:
            broken.append(error)
            raise

    sql.begin_transaction = lambda: nullcontext(sql)
    sql.execute_query = execute_query
    try:
        yield
    finally:
        del sql.begin_transaction, sql.execute_query


@contextmanager
def package_state(pipeline: dlt.Pipeline, load_id: str) -> Iterator[None]:
    """What dlt looks up while it loads a package, such as from when a historised row holds."""
    context = LoadPackageStateInjectableContext(storage=_storage(pipeline), load_id=load_id)
    with Container().injectable_context(context):
        yield


def run(client: Client, package: Package, table: str, path: Path) -> None:
    """Does what dlt does with a file, at once and on the client's connection."""
    prepared = client.prepare_load_table(table)
    job = client.create_load_job(prepared, str(path), package.load_id)
    job.set_run_vars(load_id=package.load_id, schema=package.schema, load_table=prepared)
    job._job_client = client
    job.run()


def followups(client: Client, package: Package, root: str, *, unique: bool) -> Iterator[Path]:
    """The statements that follow when all files of a root table and of those nested in it are loaded: a merge.

    Args:
        client: whose statements they are.
        package: what is loaded.
        root: a root table of it.
        unique: each primary key is known to come only once.
    """
    done: Any = [
        (PackageStorage.COMPLETED_JOBS_FOLDER, ParsedLoadJobFileName.parse(f.path.name)) for f in package.files
    ]
    chain = get_completed_table_chain(package.schema, done, package.schema.tables[root])
    prepared = [client.prepare_load_table(table["name"]) for table in chain or ()]
    for table in prepared[:1]:
        table["x-stage-data-deduplicated"] = unique or table.get("x-stage-data-deduplicated", False)
    for request in client.create_table_chain_completed_followup_jobs(prepared, []) if prepared else ():
        path = Path(request.new_file_path())
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
