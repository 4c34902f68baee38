"""One job through dlt: recover, extract, normalise, load, verify."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.common.pipeline import LoadInfo
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources import DltSource

from dango import destinations
from dango.config import Destination
from dango.dlt_adapter import TRACE_FILE_NAME
from dango.errors import DestinationError
from dango.job import Event, Job, TableResult
from dango.lock import lock
from dango.progress import Progress
from dango.resolve import Resolved, build

_SMALLEST_ROOM = 50 * 1024 * 1024
DATABASE_WAIT = 60.0
"""Seconds to wait for another process to be done with an embedded database, where the user does not say."""


def load(job: Job, resolved: Resolved, folder: Path, send: Callable[[Event], None]) -> tuple[TableResult, ...]:
    """Brings one source's new data into its destination.

    Args:
        job: what to load.
        resolved: the source's function and arguments.
        folder: where dlt keeps state and packages of this source.
        send: takes an event for each step and about ten a second while rows come in.

    Returns:
        what was done to each table that has rows of this load.

    Raises:
        DangoError: where the fault is known; anything that the source or dlt raises else.
    """
    require_room(job.root)
    if job.trial:
        with tempfile.TemporaryDirectory(prefix="trial-", dir=folder.parent.parent) as trial:
            return _through(job, resolved, Path(trial), send)
    with _set_aside(folder, whole=job.full_refresh and not job.resources), _without_trace(job, folder):
        return _through(job, resolved, folder, send)


def reachable(job: Job) -> None:
    """Connects to the job's destination and changes nothing there. Raises `DestinationError` or `Held`."""
    if job.destination.name == job.destination.type == "duckdb" and not destinations.embedded_file(job.root).exists():
        return
    with tempfile.TemporaryDirectory(prefix="dry-", dir=job.root / ".dango") as folder:
        _synchronised(job, Path(folder), Progress(job.source.name, lambda event: None))


def require_room(root: Path) -> None:
    """Nothing is begun on a full disk. Raises `DestinationError`."""
    free = shutil.disk_usage(root).free
    if free < _SMALLEST_ROOM:
        needed = _SMALLEST_ROOM // 1024**2
        raise DestinationError(
            f"no room on the disk: {free // 1024**2} MiB free in {root}, {needed} are needed to begin",
            "nothing was begun; make room and run again",
        )


def _through(job: Job, resolved: Resolved, folder: Path, send: Callable[[Event], None]) -> tuple[TableResult, ...]:
    name = job.source.name
    progress = Progress(name, send)
    progress.begin("recover")
    pipeline = _recovered(job, folder, progress)
    progress.begin("resolve")
    source = build(resolved, job)
    before = _columns(pipeline, source)
    progress.begin("extract")
    pipeline.extract(source, refresh=_refresh(job), loader_file_format=_file_format(job.destination))
    progress.begin("normalize")
    rows = {table: count for table, count in pipeline.normalize().row_counts.items() if not table.startswith("_dlt")}
    progress.begin("load")
    with _writing(pipeline, job):
        _let_go(_aside(folder))
        info = _loaded(pipeline)
        progress.begin("verify")
        tables = _tables(pipeline, info, rows, before)
        if job.trial:
            _without_staging(pipeline)
    _forget_loaded(pipeline)
    return tables


@contextmanager
def _without_trace(job: Job, folder: Path) -> Iterator[None]:
    """dlt keeps a run's trace in its folder, with the text of errors as they were raised, secrets in them.

    The history has what people want to know of it, masked.
    """
    try:
        yield
    finally:
        (folder / job.source.pipeline / TRACE_FILE_NAME).unlink(missing_ok=True)


@contextmanager
def _set_aside(folder: Path, *, whole: bool) -> Iterator[None]:
    """A refresh of the whole source begins without what waits in its folder, for all of it is extracted again.

    Until the load begins, tables and cursor are the old ones, and the folder comes back when the refresh fails, or,
    where its process was killed, with the next sync: some destinations keep no state, and the cursor is only here.
    """
    aside = _aside(folder)
    shutil.rmtree(aside.with_suffix(".dropped"), ignore_errors=True)
    _put_back(aside, folder)
    if whole and folder.exists():
        folder.rename(aside)
    try:
        yield
    finally:
        _put_back(aside, folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.before-refresh")


def _put_back(aside: Path, folder: Path) -> None:
    if aside.exists():
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def _let_go(aside: Path) -> None:
    """From here on what is new counts. In one step, so that no half of the old can come back."""
    if aside.exists():
        shutil.rmtree(aside.rename(aside.with_suffix(".dropped")))


def _recovered(job: Job, folder: Path, progress: Progress) -> dlt.Pipeline:
    """The pipeline, up to date with its destination, with nothing of an earlier run left to load."""
    pipeline = _synchronised(job, folder, progress)
    if not pipeline.has_pending_data:
        return pipeline
    _forget_normalized(pipeline)
    progress.say("an earlier run left data that was extracted but not loaded; it is loaded first")
    pipeline.normalize()
    with _writing(pipeline, job):
        _loaded(pipeline)
    _forget_loaded(pipeline)
    # A pipeline object restores its state once; what was just loaded may have changed it.
    return _synchronised(job, folder, progress)


def _synchronised(job: Job, folder: Path, progress: Progress) -> dlt.Pipeline:
    target = destinations.build(job)
    pipeline = dlt.pipeline(
        pipeline_name=job.source.pipeline,
        pipelines_dir=str(folder),
        destination=target,
        dataset_name=job.dataset,
        progress=progress,
    )
    if (file := _database_file(pipeline, job)) is not None:
        destinations.require_distinct(file, job)
    try:
        with _writing(pipeline, job):
            if job.trial:
                _emptied(pipeline)
            else:
                pipeline.sync_destination()
    except PipelineStepFailed as error:
        raise destinations.connection_error(root_cause(error), job.destination.name) from error
    return pipeline


@contextmanager
def _writing(pipeline: dlt.Pipeline, job: Job) -> Iterator[None]:
    """One writer at a time on an embedded database: DuckDB lets no second process even open it."""
    file = _database_file(pipeline, job)
    if file is None:
        yield
        return
    # Two destinations may name one file; its path is what they share.
    path = Path(file).resolve()
    name = f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    wait = DATABASE_WAIT if job.wait is None else job.wait
    with lock(job.root / ".dango" / "locks" / f"{name}.database.lock", f"the database {path.name}", wait):
        yield


def _database_file(pipeline: dlt.Pipeline, job: Job) -> str | None:
    """The file of an embedded database; None for any other destination."""
    if job.destination.type != "duckdb":
        return None
    credentials: Any = pipeline.destination_client().config.credentials
    return str(credentials.database)


def _emptied(pipeline: dlt.Pipeline) -> None:
    """A trial starts from nothing, and leaves no state from which another load could go on."""
    pipeline.config.restore_from_destination = False
    with _sql_client(pipeline) as client:
        if client is not None:
            _dropped(client)


def _without_staging(pipeline: dlt.Pipeline) -> None:
    """What a trial leaves is one dataset, which one command drops."""
    with _sql_client(pipeline) as client:
        if client is not None:
            with client.with_staging_dataset():
                _dropped(client)


def _dropped(client: Any) -> None:
    if client.has_dataset():
        client.drop_dataset()


def _loaded(pipeline: dlt.Pipeline) -> LoadInfo | None:
    info = pipeline.load()
    if info is not None:
        info.raise_on_failed_jobs()
    return info


def _refresh(job: Job) -> Any:
    if not job.full_refresh:
        return None
    return "drop_resources" if job.resources else "drop_sources"


def _file_format(destination: Destination) -> Any:
    # dlt's default for DuckDB is INSERT statements: a hundredth of the speed, and gigabytes of memory.
    return "parquet" if destination.type == "duckdb" else None


def _columns(pipeline: dlt.Pipeline, source: DltSource) -> Mapping[str, set[str]]:
    """The tables that the source has had so far, with their columns."""
    if source.schema.name not in pipeline.schema_names:
        return {}
    tables = pipeline.schemas[source.schema.name].tables
    return {
        name: {column for column, hints in table["columns"].items() if hints.get("data_type")}
        for name, table in tables.items()
    }


def _tables(
    pipeline: dlt.Pipeline, info: LoadInfo | None, rows: Mapping[str, int], before: Mapping[str, set[str]]
) -> tuple[TableResult, ...]:
    added: dict[str, set[str]] = {}
    seconds: dict[str, float] = {}
    for package in info.load_packages if info else ():
        for name, update in package.schema_update.items():
            added.setdefault(name, set()).update(update["columns"])
    for metrics in (m for many in (info.metrics if info else {}).values() for m in many):
        for job in metrics["job_metrics"].values():
            if job.finished_at:
                spent = (job.finished_at - job.started_at).total_seconds()
                seconds[job.table_name] = seconds.get(job.table_name, 0.0) + spent
    totals = _counted(pipeline, rows)
    return tuple(
        TableResult(
            name=name,
            rows=count,
            total=totals.get(name),
            new=name not in before,
            new_columns=tuple(sorted(added.get(name, set()) - before[name])) if name in before else (),
            seconds=round(seconds.get(name, 0.0), 3),
        )
        for name, count in rows.items()
    )


def _counted(pipeline: dlt.Pipeline, tables: Mapping[str, int]) -> dict[str, int]:
    """How many rows each table holds now; nothing where the destination cannot be asked in SQL."""
    counts: dict[str, int] = {}
    with _sql_client(pipeline) as client:
        if client is None:
            return {}
        for table in tables:
            try:
                # The name is quoted by the client.
                found = client.execute_sql(f"SELECT COUNT(*) FROM {client.make_qualified_table_name(table)}")  # noqa: S608
            except DatabaseUndefinedRelation:
                continue
            counts[table] = int(found[0][0]) if found else 0
    return counts


@contextmanager
def _sql_client(pipeline: dlt.Pipeline) -> Iterator[Any]:
    """A client for SQL, or None: files and functions have none worth asking."""
    if (
        pipeline.destination.destination_type.endswith(".filesystem")
        or not pipeline.destination.capabilities().sqlglot_dialect
    ):
        yield None
        return
    try:
        client = pipeline.sql_client()
    except SqlClientNotAvailable:
        yield None
        return
    with client:
        yield client


def _forget_loaded(pipeline: dlt.Pipeline) -> None:
    """Packages that are in the destination are not kept: `.dango/` would grow with every sync."""
    for load_id in pipeline.list_completed_load_packages():
        shutil.rmtree(pipeline.get_load_package_info(load_id).package_path, ignore_errors=True)


def _forget_normalized(pipeline: dlt.Pipeline) -> None:
    """What a run had normalised when it was killed may still stand among what is extracted; dlt would fail over it."""
    for load_id in {*pipeline.list_extracted_load_packages()} & {*pipeline.list_normalized_load_packages()}:
        shutil.rmtree(Path(pipeline.working_dir) / "normalize" / "extracted" / load_id)


def root_cause(error: BaseException) -> BaseException:
    """What happened, without the wrappers that dlt puts around it."""
    while type(error).__module__.startswith("dlt.") and (inner := error.__cause__ or error.__context__):
        error = inner
    return error
