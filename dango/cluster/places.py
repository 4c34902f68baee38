"""Whether what a job writes to is one place for all machines, and no file of the one that it happens to run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dango.errors import UsageError
from dango.job import Job
from dango.project import Project
from dango.secrets import CONFIG_FILE, SECRETS_FILE, read_toml

_HINT = "name one that all nodes reach: `--destination NAME`, with `destinations: {lake: {type: postgres}}`"


def require_shared(project: Project, job: Job) -> None:
    """Raises `UsageError` where the destination is a file of one machine: each node would write one of its own."""
    name, kind = job.destination.name, job.destination.type
    settings = _settings(project, job)
    if kind == "duckdb":
        raise UsageError(f"destination `{name}` is a file of DuckDB's on one machine, and no node has it", _HINT)
    if kind == "sqlalchemy" and str(settings.get("credentials", "")).startswith("sqlite"):
        raise UsageError(f"destination `{name}` is a file of SQLite's on one machine, and no node has it", _HINT)
    if kind == "filesystem" and (url := str(settings.get("bucket_url", ""))) and _is_of_the_project(url):
        raise UsageError(
            f"destination `{name}` is the folder {url} of this machine's project, and no node has it",
            "bucket_url: object storage (s3://…), or the absolute path of a folder that every node has mounted",
        )
    if kind == "ducklake" and not _has_server(settings):
        raise UsageError(
            f"destination `{name}` has its catalog in a file of one machine, and no node has it",
            f'its catalog in PostgreSQL: [destination.{name}.credentials] catalog = "postgres://…"',
        )
    if kind == "ducklake" and _is_of_the_project(url := _storage(settings)):
        where = f"the folder {url} of this machine's project" if url else "a folder of the machine that it runs on"
        raise UsageError(
            f"destination `{name}` has its files in {where}, and no node has it",
            f'[destination.{name}.credentials.storage] bucket_url = "s3://…", or the absolute path of a folder that'
            " every node has mounted",
        )


def _settings(project: Project, job: Job) -> Mapping[str, Any]:
    """What is said of a destination: in `config.toml`, in `secrets.toml`, in `sources.yml`; the last counts."""
    merged: dict[str, Any] = {}
    for file in (CONFIG_FILE, SECRETS_FILE):
        sections = read_toml(project.root / file, file).get("destination", {})
        for key in (job.destination.type, job.destination.name):
            merged |= sections.get(key, {}) if isinstance(sections.get(key), Mapping) else {}
    return {**merged, **job.destination.parameters}


def _is_of_the_project(url: str) -> bool:
    """Whether a bucket's address is a path from the project's root, or an `env:` of which nothing is known yet."""
    return "://" not in url and not url.startswith(("/", "file:", "env:"))


def _storage(settings: Mapping[str, Any]) -> str:
    """Where a DuckLake keeps its files; empty where nothing says so."""
    credentials = settings.get("credentials")
    storage = credentials.get("storage", "") if isinstance(credentials, Mapping) else ""
    return str(storage.get("bucket_url", "") if isinstance(storage, Mapping) else storage)


def _has_server(settings: Mapping[str, Any]) -> bool:
    credentials = settings.get("credentials")
    catalog = credentials.get("catalog", "") if isinstance(credentials, Mapping) else credentials or ""
    text = catalog.get("drivername", "") if isinstance(catalog, Mapping) else str(catalog)
    return text.startswith(("postgres", "ducklake:postgres", "env:"))
