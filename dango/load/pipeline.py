"""One job through dlt: recover, extract, normalise, load, verify."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dlt
from dlt.common.schema import Schema
from dlt.sources import DltSource

from dango import columnar, external
from dango.dlt_internals import packages as dlt_packages
from dango.dlt_internals.packages import Package
from dango.dlt_internals.tables import TRANSACTIONAL
from dango.external import Mistaken
from dango.job import Event, Job, Part, Status, TableResult
from dango.load import backfill, dataset, destinations, extraction, ranges, schema_changes, working_folder
from dango.load.connection import connecting, made
from dango.load.emptying import refused, resources_of, unfilled, would_empty
from dango.load.enforcement import enforced
from dango.load.extraction import LeftOut
from dango.load.outcome import Outcome, discarded_rows, table_paths, table_results
from dango.load.part_pipeline import PartPipeline
from dango.load.progress import Progress
from dango.load.room import require_room
from dango.load.schema_changes import Change, Columns
from dango.load.source_pipeline import SourcePipeline
from dango.paths import collecting
from dango.project import Project
from dango.sources.record_errors import RecordErrors
from dango.sources.resolve import Resolved, build

_BEFORE = "an earlier attempt, of which nothing was heard any more, had loaded all of it"
_ERRORS = "dango_errors"
"""The schema of records that failed, in the same dataset: no contract of the source refuses it, no refresh drops it."""


def load(job: Job, resolved: Resolved, folder: Path, send: Callable[[Event], None], records: RecordErrors) -> Outcome:
    """Brings one source's new data into its destination.

    Args:
        job: what to load.
        resolved: the source's function and arguments.
        folder: where dlt keeps state and packages of this source.
        send: takes an event for each step and about ten a second while rows come in.
        records: takes the records that the source cannot make.

    Raises:
        DangoError: where the fault is known; anything that the source or dlt raises else. Nothing is loaded then, but
            for the records that failed.
    """
    require_room(job.root)
    progress = Progress(job.source.name, send)
    if not files_only(resolved) or any(job.source.steps) or job.part:
        # What is extracted a second time may not be the same; and of files that are loaded as they are, processors
        # would see nothing.
        return _load(job, resolved, folder, progress, records)
    try:
        with external.allowed():
            return _load(job, resolved, folder, progress, records)
    except Mistaken as error:
        progress.say(f"{error}; the files are read again, row by row where they have to be")
        return _load(job, resolved, folder, progress, records)


def _load(job: Job, resolved: Resolved, folder: Path, progress: Progress, records: RecordErrors) -> Outcome:
    progress.begin("recover")
    if job.part:
        return _load_part(job.part, job, resolved, folder, progress, records)
    if job.trial:
        with tempfile.TemporaryDirectory(prefix="trial-", dir=folder.parent.parent) as trial:
            return _trial(job, resolved, Path(trial), progress, records)
    working_folder.put_back(folder)
    whole = job.refreshed
    if whole:
        working_folder.begin_anew(folder)
    source_pipeline = SourcePipeline(job, folder, progress)
    with source_pipeline.discreet(), source_pipeline.leased():
        if (before := source_pipeline.loaded_before) is not None:
            progress.say(_BEFORE)
            return _as_noted(before)
        permit = partial(_refuse_emptying, source_pipeline, job)
        if _ERRORS in source_pipeline.recover(permit):
            records.discard()
        elif records.left:
            progress.say("an earlier run left records that failed; they are loaded first")
            _load_failed(source_pipeline, records)
        progress.begin("resolve")
        source = _between(build(resolved, job), job, source_pipeline, progress)
        ranges.begun(source, job)
        source_pipeline.adopt(source.schema.name)
        if not whole:
            working_folder.keep(folder, refresh=job.full_refresh)
        try:
            if job.full_refresh:
                _require_room_for_copy(source_pipeline, source, job)
            return _through(source_pipeline, source, job, progress, records)
        except BaseException as error:
            if not source_pipeline.worth_keeping(error):
                source_pipeline.give_up()
                _load_failed(source_pipeline, records)
            raise


def _load_part(
    part: Part, job: Job, resolved: Resolved, folder: Path, progress: Progress, records: RecordErrors
) -> Outcome:
    """A part of a source. It knows by itself whether an attempt that was killed has loaded it."""
    if (before := working_folder.told(folder)) is not None:
        progress.say(_BEFORE)
        return _as_noted(before)
    source_pipeline = PartPipeline(part, job, folder, progress)
    with source_pipeline.discreet(), source_pipeline.leased():
        if (before := source_pipeline.loaded_before) is not None or (before := source_pipeline.begin()) is not None:
            progress.say(_BEFORE)
            return _as_noted(before)
        progress.begin("resolve")
        source = build(resolved, job)
        source = ranges.narrowed(source, part) if part.number else _between(source, job, source_pipeline, progress)
        try:
            return _through(source_pipeline, source, job, progress, records)
        except BaseException:
            # What it has extracted is a part of a source that may go on meanwhile: it is extracted again.
            source_pipeline.give_up()
            _load_failed(source_pipeline, records)
            raise


def _between(source: DltSource, job: Job, source_pipeline: SourcePipeline, progress: Progress) -> DltSource:
    """The source in the range of time that was asked for, if one was."""
    if not (job.since or job.until):
        return source
    source, without = backfill.narrowed(source, job, source_pipeline.pipeline)
    for name in without:
        progress.say(f"`{name}` has no cursor, and is left out")
    backfill.require_new(source_pipeline.pipeline, source, job)
    return source


def _as_noted(note: Mapping[str, Any]) -> Outcome:
    """What an attempt of which nothing was heard has done."""
    return Outcome(note["status"], tuple(TableResult(table, rows) for table, rows in note["rows"].items()))


def files_only(resolved: Resolved) -> bool:
    """Whether a source can be extracted twice, and gives the same: its rows are those of files."""
    return resolved.module == "dango.connectors.files"


def reachable(job: Job) -> None:
    """Connects to the job's destination and changes nothing there. Raises `DestinationError` or `Held`."""
    if job.destination.name == job.destination.type == "duckdb" and not destinations.embedded_file(job.root).exists():
        return
    with tempfile.TemporaryDirectory(prefix="dry-", dir=Project(job.root).state) as folder:
        pipeline = made(job, Path(folder), Progress(job.source.name, lambda event: None))
        with connecting(job), dataset.writing(pipeline, job):
            pipeline.sync_destination()


def _require_room_for_copy(source_pipeline: SourcePipeline, source: DltSource, job: Job) -> None:
    """A refresh needs room for all rows again: extracted, and, in an embedded database, beside the old ones."""
    pipeline, name = source_pipeline.pipeline, source.schema.name
    if job.destination.type not in TRANSACTIONAL or name not in pipeline.schema_names:
        return
    tables = dlt_packages.tables_of(pipeline.schemas[name], source.selected_resources.keys())
    with dataset.writing(pipeline, job), dataset.sql_client(pipeline, job) as sql:
        held = dataset.size(sql, tables)
    require_room(job.root, held * (2 if job.destination.type == "duckdb" else 1))


def _trial(job: Job, resolved: Resolved, folder: Path, progress: Progress, records: RecordErrors) -> Outcome:
    """A few rows, in a dataset of their own; no state before it, and none after."""
    trial = SourcePipeline(job, folder, progress)
    with connecting(job), dataset.writing(trial.pipeline, job):
        dataset.emptied(trial.pipeline, job)
    try:
        outcome = _through(trial, build(resolved, job), job, progress, records)
    except BaseException:
        trial.give_up()
        _load_failed(trial, records)
        raise
    with dataset.writing(trial.pipeline, job):
        dataset.without_staging(trial.pipeline, job)
    return outcome


def _through(
    source_pipeline: SourcePipeline, source: DltSource, job: Job, progress: Progress, records: RecordErrors
) -> Outcome:
    pipeline, name = source_pipeline.pipeline, source.schema.name
    stored = pipeline.schemas[name].clone() if name in pipeline.schema_names else None
    progress.begin("extract")
    file_format, folder = _file_format(job), Path(pipeline.working_dir)
    with (
        enforced(source, job, stored) as kept_out,
        collecting() as ways,
        columnar.switched_on(file_format == "parquet", folder) as taken,
    ):
        with records, _processed(source, job, records):
            records.watch(source)
            left_out = extraction.extract(pipeline, source, job, file_format, records)
        status = _judged(records, job)
        _extract_failed(pipeline, records)
        progress.begin("normalize")
        counts = source_pipeline.normalize()
    packages = dlt_packages.waiting(pipeline)
    changes = _changes(packages, stored, name)
    for change in changes if stored else ():
        progress.say(str(change))
    if job.fail_on_schema_change and changes and schema_changes.has_loaded(_columns(stored)):
        raise schema_changes.refused(changes, job.source.name)
    left_out += _kept_from_emptying(pipeline, packages, job, _columns(stored))
    progress.begin("load")
    ours = [package for package in packages if package.schema.name != _ERRORS]
    data = {table for package in ours for table in package.tables if not table.startswith("_dlt")}
    status = "partial" if left_out else status
    note = {"status": status, "rows": {table: rows for table, rows in counts.items() if table in data}}
    kept_out = kept_out.without([name for name, _ in left_out])
    touched = {*data, *discarded_rows(kept_out, ours, counts), *kept_out.names}
    done = source_pipeline.load(dlt_packages.waiting(pipeline), note, counted=touched)
    records.discard()
    progress.begin("verify")
    tables = table_results(ours, data, {**counts, **done.rows}, done, changes, kept_out)
    paths = tuple(table_paths(taken, ways))
    return Outcome(status, tables, left_out, paths)


@contextmanager
def _processed(source: DltSource, job: Job, records: RecordErrors) -> Iterator[None]:
    """While the block lasts, records go through the job's processors; whatever ends it, their counts are kept."""
    if not any(job.source.steps):
        yield
        return
    # It brings Arrow, without which most syncs begin, and some end.
    from dango.sources.processing import processed

    with processed(source, job, records.add) as ways:
        try:
            yield
        finally:
            records.processors = tuple(result for way in ways.values() for result in way.results())


# --- records that failed ------------------------------------------------------------------------------


def _judged(records: RecordErrors, job: Job) -> Status:
    limits = {name: resource.max_errors for name, resource in (job.source.resources or {}).items()}
    return records.judge(job.source.max_errors, limits)


def _extract_failed(pipeline: dlt.Pipeline, records: RecordErrors) -> None:
    if records.left:
        pipeline.extract(records.resource(), schema=Schema(_ERRORS))


def _load_failed(source_pipeline: SourcePipeline, records: RecordErrors) -> None:
    """What failed is told also where nothing else is loaded."""
    if not records.left:
        return
    _extract_failed(source_pipeline.pipeline, records)
    source_pipeline.normalize()
    source_pipeline.load(dlt_packages.waiting(source_pipeline.pipeline))
    records.discard()


# --- before anything is loaded ------------------------------------------------------------------------


def _columns(stored: Schema | None) -> Mapping[str, Columns]:
    return {name: table["columns"] for name, table in stored.tables.items()} if stored else {}


def _changes(packages: Sequence[Package], stored: Schema | None, name: str) -> tuple[Change, ...]:
    newest = [package.schema for package in packages if package.schema.name == name]
    return schema_changes.between(_columns(stored), newest[-1]) if newest else ()


def _refuse_emptying(source_pipeline: SourcePipeline, job: Job, packages: Sequence[Package]) -> None:
    """What an earlier run has left is loaded as it is, or not at all."""
    for _, error in _kept_from_emptying(source_pipeline.pipeline, packages, job, {}):
        raise error


def _kept_from_emptying(
    pipeline: dlt.Pipeline, packages: Sequence[Package], job: Job, known: Mapping[str, Columns]
) -> tuple[LeftOut, ...]:
    """Tables that would lose their rows by accident: an error, or left out where their resource may fail."""
    if job.allow_empty or job.trial:
        return ()
    left_out: list[LeftOut] = []
    for package in packages:
        # Where all of them get rows, as nearly always, nobody has to be asked.
        if not (candidates := unfilled(package)):
            continue
        with dataset.writing(pipeline, job), dataset.sql_client(pipeline, job) as sql:
            tables = would_empty(sql, candidates, known)
        if not tables:
            continue
        resources = resources_of(package, tables)
        if package.refreshed or not all(extraction.may_fail(job, resource) for resource in resources):
            raise refused(tables, job.source.name)
        for resource, names in resources.items():
            left_out.append((resource, refused({name: tables[name] for name in names}, job.source.name)))
            dlt_packages.without(package, [table for table in package.tables if package.root(table) in names])
    return tuple(left_out)


def _file_format(job: Job) -> str | None:
    # dlt's default is INSERT statements: a hundredth of the speed, and gigabytes of memory.
    return "parquet" if job.destination.type in TRANSACTIONAL else None
