"""How this process watches over a worker: what surrounds it, what it says, and why it ended."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from dango import durations, environments
from dango.errors import DangoError, page_of
from dango.job import Event, Job, RunError, RunResult, Secrets, Status, as_error
from dango.project import Project
from dango.secrets import CONFIG_FILE, Mask, project_mask, read_toml
from dango.workers.processes import Ended, Line, Workers, isolated

IMPORT_SECONDS = 30.0
"""How long a module may take to import. `DANGO_IMPORT_SECONDS` says otherwise, for the few that need more."""


def supervise(project: Project, job: Job, workers: Workers | None = None) -> Generator[Event | RunResult, None, None]:
    """Runs a job in a process of its own; the last value is its result."""
    begun = Event(job.source.name, "queued", part=job.part_name)
    yield begun
    mask = project_mask(project, surroundings(project))
    work: tuple[str, Any] = "worker:load", (job, mask)
    if project.entrusted is not None:
        work = "worker:load_entrusted", (job, mask, project.entrusted)
    result = None
    with closing(at_work(project, *work, job, workers)) as values:
        for value in values:
            if isinstance(value, RunResult):
                result = value
            elif isinstance(value, RunError):
                status: Status = "failed" if value.exit_code == 2 else "crashed"
                result = result or replace(job.begun(begun.at), status=status, error=value).ended()
            else:
                yield replace(value, part=job.part_name) if job.part else value
    assert result is not None
    yield result


def at_work(
    project: Project, work: str, payload: Any, job: Job, workers: Workers | None = None
) -> Generator[Any, None, None]:
    """As `watch`, for work that calls the job's source: in the source's own environment, where it has one.

    An environment that is not there yet is built first. Where that fails, the `RunError` is the last value.
    """
    asked = environments.wanted(job)
    if asked is not None and not asked.is_built():
        for value in watch(project, "worker:environment", job, job.source.name, workers):
            yield value
            if isinstance(value, RunError):
                return
    yield from watch(project, work, payload, job.source.name, workers, environments.interpreter(job))


def watch(
    project: Project, work: str, payload: Any, source: str, workers: Workers | None = None, python: Path | None = None
) -> Generator[Any, None, None]:
    """Runs a function of `dango.workers` in a process of its own.

    Args:
        project: its root is the worker's current folder.
        work: its module there and its name, as `worker:load`.
        payload: its argument.
        source: whose prints these are, until an event names another.
        workers: where the process begins, if it is one of many.
        python: the interpreter of an environment of the source's own.

    Yields:
        what the worker sends, and each line that it prints as an `Event`. At last a `RunError` if it ended in any
        other way than by coming to its end.
    """
    mask = project_mask(project)
    last, since = Event(source, "queued"), time.monotonic()
    running = isolated(
        f"dango.workers.{work}",
        payload,
        folder=project.root,
        environment=surroundings(project),
        workers=workers,
        python=python,
    )
    try:
        for value in running:
            if isinstance(value, Line):
                yield Event(last.source, "log", message=mask(value.text))
            elif isinstance(value, Secrets):
                mask.add(*value.values)
            elif isinstance(value, Ended):
                if value.code != 0 or not value.done:
                    yield _crash(value, last, time.monotonic() - since, mask)
            else:
                if isinstance(value, Event) and value.step != "log":
                    last, since = value, time.monotonic()
                yield value
    finally:
        running.close()
        if (left := project.state / "bridge").is_dir():
            # Of a worker that was ended, with secrets in them.
            from dango.connectors.bridge.child import sweep

            sweep(left)


def values(running: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """What `watch` or `at_work` yields. Raises `DangoError` where that is a `RunError`."""
    with closing(running):
        for value in running:
            if isinstance(value, RunError):
                raise as_error(value)
            yield value


def surroundings(project: Project) -> dict[str, str]:
    """The environment of a worker: the project's, with dlt kept inside the project and silent."""
    environment = project.environment
    settings = read_toml(project.root / CONFIG_FILE, CONFIG_FILE)
    environment["DLT_PROJECT_DIR"] = str(project.root)
    environment["DLT_DATA_DIR"] = str(project.state / "dlt")
    if "dlthub_telemetry" not in settings.get("runtime", {}):
        environment.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    environment.setdefault("RUNTIME__INTERCEPT_SIGNALS", "false")
    if not _says_of_compression(settings, environment):
        # What is extracted is read once, by the same process; gzip would take half of the time.
        environment["SOURCES__DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    environment["DANGO_IMPORT_SECONDS"] = str(import_seconds(environment))
    return environment


def _says_of_compression(settings: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether the user says how extracted files are written, in `config.toml` or the environment."""
    places = (settings.get("data_writer", {}), settings.get("sources", {}).get("data_writer", {}))
    names = ("DATA_WRITER__DISABLE_COMPRESSION", "SOURCES__DATA_WRITER__DISABLE_COMPRESSION")
    return any("disable_compression" in place for place in places) or any(name in environment for name in names)


def import_seconds(environment: Mapping[str, str]) -> float:
    """How long a module may take to import. Raises `UsageError` where the environment says nonsense."""
    return durations.seconds(environment, "DANGO_IMPORT_SECONDS", IMPORT_SECONDS)


def prepare(project: Project) -> None:
    """Makes what a worker needs before it can say anything. Raises `DangoError` where that cannot be written."""
    for folder in (project.state, *(project.state / name for name in ("pipelines", "locks", "logs"))):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A clone made `.dango` as any folder; what is written into it now is for its owner alone.
            if folder.stat().st_mode & 0o077 and os.access(folder, os.W_OK):
                folder.chmod(0o700)
            with tempfile.TemporaryFile(dir=folder):
                # The system says why not, if not.
                continue
        except OSError as error:
            raise DangoError(
                f"{folder} cannot be written: {error.strerror}",
                "dango keeps state and locks in the project's .dango/: make the folder writable, or set DANGO_STATE",
            ) from error


def _crash(ended: Ended, last: Event, seconds: float, mask: Mask) -> RunError:
    tail = mask("\n".join(ended.tail))
    if last.step == "import":
        limit = import_seconds(os.environ)
        # The worker's clock began a little later than ours may have heard of it.
        if seconds >= 0.8 * limit:
            return RunError(
                "ImportFailed",
                f"{last.message} is still being imported after {limit:g} s",
                "a module should only define: move what it does at its top level into the function"
                " (the environment variable DANGO_IMPORT_SECONDS allows more)",
                _stuck_at(ended.tail),
                tail,
                exit_code=2,
                docs=page_of("ImportFailed"),
            )
        message = f"importing {last.message} ended the process: {ended}"
        return RunError("ImportFailed", message, "", "", tail, 2, page_of("ImportFailed"))
    hint = "its last lines:\n" + "\n".join(tail.splitlines()[-5:]) if tail else ""
    return RunError("Crashed", f"{ended}, at the step `{last.step}`", hint, "", tail, docs=page_of("Crashed"))


def _stuck_at(tail: Iterable[str]) -> str:
    """The place in `custom_sources/` that Python's own dump of the stack names first."""
    for line in tail:
        if found := re.match(r'  File "(?:.*/)?(custom_sources/[^"]+)", line (\d+)', line):
            return f"{found.group(1)}:{found.group(2)}"
    return ""
