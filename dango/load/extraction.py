"""Rows out of a source, all resources together, or so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources import DltSource

from dango.dlt_internals.names import ResourceExtractionError
from dango.dlt_internals.pipes import room_for_all
from dango.errors import root_cause
from dango.job import Job
from dango.load.enforcement import broken
from dango.paths import OtherPath
from dango.sources.record_errors import RecordErrors

LeftOut = tuple[str, BaseException]
"""A resource that failed, and why."""


def extract(
    pipeline: dlt.Pipeline, source: DltSource, job: Job, file_format: Any, records: RecordErrors
) -> tuple[LeftOut, ...]:
    """Extracts the selected resources.

    Args:
        pipeline: takes the packages.
        source: with hints and limits.
        job: says which resources may fail (`on_error: skip`), and whether they are extracted anew.
        file_format: in which the rows are written.
        records: counts the records that fail; those of what is left out do not.

    Returns:
        the resources that failed and are left out; their cursors are what they were.

    Raises:
        PipelineStepFailed: when one failed that may not.
    """
    names = list(source.selected_resources)
    if not any(may_fail(job, name) for name in names):
        _extract(pipeline, source, _refresh(job, whole=True), file_format, records)
        return ()
    # What dlt extracts at once it keeps or forgets at once, cursors and all.
    left_out: list[LeftOut] = []
    for group in groups(source):
        left_out += _extract_group(pipeline, source, group, job, file_format, records)
    return tuple(left_out)


def may_fail(job: Job, resource: str) -> bool:
    """Whether the others are loaded without it when it fails."""
    own = (job.source.resources or {}).get(resource)
    return ((own and own.on_error) or job.source.on_error) == "skip"


def _extract_group(
    pipeline: dlt.Pipeline, source: DltSource, names: list[str], job: Job, file_format: Any, records: RecordErrors
) -> Iterator[LeftOut]:
    try:
        chosen = source.with_resources(*names)
        _extract(pipeline, chosen, _refresh(job, whole=False), file_format, records)
        records.settle()
    except PipelineStepFailed as error:
        failed = _failed(error, names)
        if not isinstance(error.exception, Exception) or not may_fail(job, failed):
            raise
        records.begin_anew(without=failed)
        yield failed, broken(error, source, job) or error
        # Those that share its rows were stopped with it; they are asked again, each for itself.
        for name in names:
            if name != failed:
                yield from _extract_group(pipeline, source, [name], job, file_format, records)


def _extract(pipeline: dlt.Pipeline, source: DltSource, refresh: Any, file_format: Any, records: RecordErrors) -> None:
    """Extracts; again as long as a table turns out to need another path, of which nothing is kept then."""
    while True:
        try:
            with room_for_all(source):
                pipeline.extract(source, refresh=refresh, loader_file_format=file_format)
        except PipelineStepFailed as error:
            if not isinstance(root_cause(error), OtherPath):
                raise
            records.begin_anew()
        else:
            return


def _failed(error: PipelineStepFailed, names: list[str]) -> str:
    """The resource in which it failed; one that only feeds others is told by the first of them."""
    cause = error.exception
    name = cause.pipe_name if isinstance(cause, ResourceExtractionError) else ""
    return name if name in names else names[0]


def groups(source: DltSource) -> list[list[str]]:
    """The selected resources, those together that take their rows from a common one: it is read once."""
    groups: dict[int, list[str]] = {}
    for name, resource in source.selected_resources.items():
        pipe = resource._pipe
        while pipe.has_parent:
            pipe = pipe.parent
        groups.setdefault(id(pipe), []).append(name)
    return list(groups.values())


def _refresh(job: Job, *, whole: bool) -> Any:
    if not job.full_refresh:
        return None
    # The first of several extractions must not drop what the second is to find.
    return "drop_sources" if whole and not job.resources else "drop_resources"
