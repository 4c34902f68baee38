"""A destination of `sources.yml` becomes one of dlt's, or a function of the user's own."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination import Destination as DltDestination

from dango.config.models import EMBEDDED, Destination
from dango.dlt_internals.destinations import looked_up_once
from dango.dlt_internals.names import ConfigFieldMissingException, missing_inside, settable
from dango.errors import DangoError, MissingSecret, NotASource, ResolveError, near
from dango.job import Address, Job
from dango.load.access import refusal
from dango.project import Project
from dango.sources import imports
from dango.sources.arguments import expand

Target = DltDestination[Any, Any]


def build(job: Job) -> Target:
    """The dlt destination of a job.

    Raises:
        ResolveError: when the type is unknown, a parameter does not fit, or the database cannot hold the dataset.
    """
    destination = job.destination
    parameters = {key: expand(value) for key, value in destination.parameters.items()}
    if ":" in destination.type:
        return _own(destination, parameters, job.root)
    if destination.type not in dlt.destinations.__all__:
        raise ResolveError(
            f"destination `{destination.name}`: unknown type `{destination.type}`"
            f"{near(destination.type, dlt.destinations.__all__)}",
            f"dlt's destinations: {', '.join(sorted(dlt.destinations.__all__))}; `module:function` is one of your own",
            place=_place(job, "type"),
        )
    if destination.embedded:
        embedded = str(embedded_file(job.root))
        require_distinct(embedded, job)
        # Named for what it is: a text might be a URL, and to read one dlt imports SQLAlchemy, for a fifth of a second.
        parameters["credentials"] = {"database": embedded}
    elif destination.type == EMBEDDED and isinstance(file := parameters.get("credentials"), str):
        require_distinct(file, job)
    factory = getattr(dlt.destinations, destination.type)
    known = _settable(destination.type)
    for name in parameters:
        if name not in known:
            raise ResolveError(
                f"destination `{destination.name}` ({destination.type}) has no parameter `{name}`{near(name, known)}",
                f"it takes: {', '.join(known)}",
                place=_place(job, name),
            )
    if destination.type == "postgres":
        # Readers go on while a table is replaced, and Parquet is read by dango, without a driver of its own.
        parameters |= {"supports_truncate_command": False, "loader_file_format_selector": None}
    if "enable_dataset_name_normalization" in known:
        # The names are dango's own and valid everywhere; dlt would make `raw_x__trial` one with `raw_x_trial`.
        parameters.setdefault("enable_dataset_name_normalization", False)
    return looked_up_once(factory(destination_name=destination.name, **parameters))


@functools.lru_cache(maxsize=8)
def _settable(type_: str) -> list[str]:
    # Once for all sources that go to the same type.
    return settable(getattr(dlt.destinations, type_)().spec)


def _place(job: Job, key: str) -> str:
    return Project(job.root).document.place(("destinations", job.destination.name, key))


def embedded_file(root: Path) -> Path:
    """The DuckDB file that needs no setting; its folder is made."""
    file = Project(root).warehouse
    file.parent.mkdir(exist_ok=True)
    return file


def require_distinct(file: str | Path, job: Job) -> None:
    """DuckDB names the catalog after the file: a dataset of that name would be ambiguous, and every load fail."""
    if Path(file).stem.lower() == job.dataset.lower():
        raise ResolveError(
            f"the dataset `{job.dataset}` is named like the database file {Path(file).name};"
            " DuckDB could not tell the two apart",
            "give the source another `dataset_name`, or the file another name",
            loc=("dlt_native", "dataset_name"),
        )


@contextmanager
def client(job: Job) -> Iterator[tuple[dlt.Pipeline, Any]]:
    """dlt's client of the job's destination, not connected yet, and the pipeline that it belongs to, which is for this
    alone. Raises `MissingSecret` where a value for it is found nowhere."""
    with tempfile.TemporaryDirectory(prefix="dry-", dir=Project(job.root).state) as folder:
        pipeline = dlt.pipeline(
            pipeline_name=job.source.pipeline,
            pipelines_dir=folder,
            destination=build(job),
            dataset_name=job.dataset,
        )
        try:
            made = pipeline.destination_client()
        except ConfigFieldMissingException as error:
            raise connection_error(error, job.destination.name) from error
        yield pipeline, made


def address(job: Job) -> Address:
    """Where the database of the job's destination is: DuckDB's file, or what libpq connects by."""
    with client(job) as (_, made):
        credentials = made.config.credentials
        if job.destination.type == EMBEDDED:
            return Address(str(Path(credentials.database).resolve()))
        return Address(str(credentials.to_native_representation()))


def connection_error(error: BaseException, name: str) -> DangoError:
    """Why a destination cannot be used, in the user's words."""
    return _missing(error, name) if isinstance(error, ConfigFieldMissingException) else refusal(error, name)


def _missing(error: ConfigFieldMissingException, name: str) -> MissingSecret:
    fields: list[str] = []
    section = f"destination.{name}"
    for field in error.fields:
        if inner := missing_inside(error, field):
            section = f"destination.{name}.{field}"
        fields += inner or [field]
    lines = "\n".join(f'{field} = "…"' for field in fields)
    return MissingSecret(
        f"destination `{name}` has no value for {', '.join(f'`{field}`' for field in fields)}",
        f"add to .dlt/secrets.toml:\n[{section}]\n{lines}",
    )


def _own(destination: Destination, parameters: Mapping[str, Any], root: Path) -> Target:
    module, _, function = destination.type.partition(":")
    located = imports.find(module, function, Project(root).custom_sources)
    made = located.function(**parameters) if callable(located.function) else located.function
    if not isinstance(made, DltDestination):
        raise NotASource(f"destination `{destination.name}`: `{destination.type}` is no @dlt.destination")
    return made
