"""The sources of a project as tasks for whatever runs them: when each starts, what it needs, and how it may end."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dango.config.cron import Cron, parse
from dango.config.models import EMBEDDED, Destination
from dango.errors import UsageError
from dango.exporting import needs
from dango.exporting.needs import Secret
from dango.project import ENV_FILE, SOURCES_FILE, Project
from dango.secrets import CONFIG_FILE, SECRETS_FILE, read_toml

NEVER_AGAIN = (2, 5)
"""Exit codes that a second try cannot change: the configuration is wrong, or a contract refuses the tables."""
RETRIES = 3
WAIT = 600
"""Seconds for which a task waits for what another holds: sources that share a database start at the same minute."""
HOURS = 6
"""After which a task is ended. A sync that was ended loses nothing: the next goes on where it was."""
_PAUSES = (60, 300, 1500)
assert len(_PAUSES) == RETRIES


@dataclass(frozen=True, slots=True)
class Task:
    """One source: its name, when it is synced, and the secrets that it, and no other, is given."""

    source: str
    schedule: Cron
    secrets: tuple[Secret, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What dango is told."""
        return ("sync", self.source, "--wait", str(WAIT))


@dataclass(frozen=True, slots=True)
class Export:
    """What runs the tasks elsewhere.

    Attributes:
        files: their texts, by their paths from the folder where they go.
        tasks: what they run.
        secrets: by the name that each bears there, the environment variable that a task finds it in.
        commands: what one types next.
        notes: what else one has to know.
    """

    files: Mapping[str, str]
    tasks: tuple[Task, ...]
    secrets: Mapping[str, str]
    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def users(self, key: str) -> str:
        """Which sources are given one of the secrets."""
        name = self.secrets[key]
        found = [task.source for task in self.tasks if name in (secret.name for secret in task.secrets)]
        return "every source" if 1 < len(found) == len(self.tasks) else ", ".join(found)


def tasks(project: Project, otherwise: str) -> tuple[Task, ...]:
    """Every enabled source as a task.

    Args:
        project: whose sources they are.
        otherwise: the schedule of those that have none.

    Raises:
        ConfigError: where `sources.yml` is none.
        UsageError: where `otherwise` is no schedule, no source is enabled, or no file could name the project's folder.
    """
    try:
        usual = parse(otherwise)
    except ValueError as error:
        raise UsageError(f"--schedule: {error}") from None
    if not str(project.root).isprintable():
        raise UsageError(f"{str(project.root)!r} has characters in its name that no such file can hold")
    known = needs.secrets(project)
    # What `.dlt/secrets.toml` refers to is not asked for where the secret itself is given.
    referred = {secret.refers for secret in known}
    known = [secret for secret in known if secret.used_by != ENV_FILE or secret.name not in referred]
    made = tuple(
        Task(
            source.name,
            parse(source.schedule) if source.schedule else usual,
            tuple(secret for secret in known if source.name in secret.sources),
        )
        for source in project.config.sources
        if source.enabled
    )
    if not made:
        raise UsageError("no source is enabled: there is nothing to run", "dango source enable NAME")
    return made


def program() -> list[str]:
    """How dango is called on this machine, by its whole path."""
    beside = Path(sys.executable).with_name("dango")
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", "dango"]


def retried(command: str) -> list[str]:
    """Lines of sh that try a command again, after longer and longer pauses, and end with its last exit code."""
    at_once = "|".join(map(str, (0, *NEVER_AGAIN)))
    return [
        f"for pause in {' '.join(map(str, _PAUSES))} -; do",
        "  code=0",
        f"  {command} || code=$?",
        f"  case $code in {at_once}) break ;; esac",
        "  [ $pause = - ] || sleep $pause",
        "done",
        "exit $code",
    ]


def in_one_line(lines: list[str]) -> str:
    """Such lines as one."""
    return f"{lines[0]} {'; '.join(line.strip() for line in lines[1:])}"


def local_files(project: Project, made: tuple[Task, ...]) -> dict[str, Destination]:
    """By source the destinations that are files of the machine, as far as their values are known here."""
    bound = {task.source: project.destination(project.source(task.source)) for task in made}
    return {source: destination for source, destination in bound.items() if _is_local(project, destination)}


def require_servers(project: Project, made: tuple[Task, ...], where: str) -> None:
    """Refuses what would be loaded into a file that goes with its machine.

    Raises:
        UsageError: naming the sources and their destinations.
    """
    if lost := local_files(project, made):
        told = ", ".join(f"`{source}` into `{destination.name}`" for source, destination in lost.items())
        raise UsageError(
            f"{told}: a local file is lost with {where}",
            f"`destination:` in {SOURCES_FILE}: a server, such as postgres; or `dango export systemd` (or cron)",
        )


def _is_local(project: Project, destination: Destination) -> bool:
    known = {**_stored(project, destination.name, CONFIG_FILE), **_stored(project, destination.name, SECRETS_FILE)}
    known |= destination.parameters
    credentials = str(known.get("credentials") or "")
    if destination.type == EMBEDDED:
        return not credentials.startswith(("md:", "duckdb:///md:"))
    if destination.type == "filesystem":
        bucket = str(known.get("bucket_url") or "env:")
        return bucket.startswith("file:") or not re.match(r"[a-z0-9+]+:", bucket)
    return destination.type == "sqlalchemy" and credentials.startswith("sqlite")


def _stored(project: Project, destination: str, file: str) -> dict[str, Any]:
    section = read_toml(project.root / file, file).get("destination")
    found = section.get(destination) if isinstance(section, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}
