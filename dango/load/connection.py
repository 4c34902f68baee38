"""A job's pipeline as dlt makes it, and what is said where its destination cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dlt
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.pipeline.exceptions import PipelineStepFailed

from dango.dlt_internals.names import ConfigFieldMissingException
from dango.dlt_internals.schemas import read_once
from dango.errors import root_cause
from dango.job import Job
from dango.load import dataset, destinations
from dango.load.progress import Progress


def made(job: Job, folder: Path, progress: Progress) -> dlt.Pipeline:
    """dlt's pipeline of a job.

    Raises:
        ResolveError: when the destination is none, or cannot hold the dataset.
    """
    pipeline = dlt.pipeline(
        pipeline_name=job.source.pipeline,
        pipelines_dir=str(folder),
        destination=destinations.build(job),
        dataset_name=job.dataset,
        progress=progress,
    )
    read_once(pipeline)
    if (file := dataset.database_file(pipeline, job)) is not None:
        destinations.require_distinct(file, job)
    return pipeline


@contextmanager
def connecting(job: Job) -> Iterator[None]:
    """Errors of the block are told as what they are: the destination cannot be used. Raises `DangoError`."""
    try:
        yield
    except (PipelineStepFailed, DestinationConnectionError, ConfigFieldMissingException) as error:
        raise destinations.connection_error(root_cause(error), job.destination.name) from error
