"""Which of a project's secrets go with a source to where it runs: its own, those of its destination, and no other's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dango.config.models import Destination, Source
from dango.entrusted import Entrusted
from dango.job import Job
from dango.project import ENV_REFERENCE, Project
from dango.references import References
from dango.secrets import REFERENCE, SECRETS_FILE, read_toml

_OF_DLT = ("SOURCES__", "DESTINATION__", "CREDENTIALS__")
_SETTINGS = (
    "DANGO_", "DATA_WRITER__", "EXTRACT__", "LOAD__", "NORMALIZE__", "RUNTIME__", "SCHEMA__",
)  # fmt: skip
"""How variables begin that say how a sync is done, wherever it is."""
_OF_THE_MACHINE = ("DANGO_STATE", "DANGO_ENVIRONMENTS", "DANGO_PROJECT", "DANGO_NODE")


def entrust(project: Project, job: Job) -> Entrusted:
    """What one source may know. References to a keyring, a command or a variable are followed here.

    Raises:
        SecretNotFound: where one leads nowhere.
        ConfigError: where a file cannot be read.
    """
    return Entrusted(_variables(project, job), _secrets(project, job))


def _secrets(project: Project, job: Job) -> dict[str, Any]:
    follow: Callable[[Any, str], Any] = References(project, lambda secret: None)
    ours = {job.source.name, *job.extends}
    taken: dict[str, Any] = {}
    for key, value in read_toml(project.root / SECRETS_FILE, SECRETS_FILE).items():
        if not isinstance(value, Mapping):
            taken[key] = follow(value, key)
        elif key == "sources":
            taken[key] = dict(_sections(value, key, ours, set(job.neighbours), follow))
        elif key == "destination":
            others = project.config.destinations.keys() - {job.destination.name, job.destination.type}
            taken[key] = dict(_sections(value, key, {job.destination.name, job.destination.type}, others, follow))
        elif key not in {*job.neighbours} - ours:
            taken[key] = _plain(value)
    return taken


def _sections(
    section: Mapping[str, Any], place: str, ours: set[str], others: Iterable[str], follow: Callable[[Any, str], Any]
) -> Iterator[tuple[str, Any]]:
    """The parts of a section without those of others. Of what is nobody's in particular references are left out: to
    follow each for each source would ask a person's keyring a hundred times for what nobody needs."""
    for key, value in section.items():
        if key in ours or not isinstance(value, Mapping):
            yield key, follow(value, f"{place}.{key}")
        elif key not in {*others} - ours:
            yield key, _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if not _refers(item)}
    return value


def _refers(value: Any) -> bool:
    return isinstance(value, str) and REFERENCE.match(value) is not None


def _variables(project: Project, job: Job) -> dict[str, str]:
    """Of `.env` all but what is another's alone; of this process's environment what the source refers to, and what dlt
    would look for."""
    ours = set(_referred([job.source], [job.destination]))
    theirs = set(_referred(project.config.sources, project.config.destinations.values())) - ours
    taken = {name: value for name, value in project.dotenv.items() if name not in theirs}
    for name, value in os.environ.items():
        if name in ours or name in taken or name.startswith((*_OF_DLT, *_SETTINGS)):
            taken[name] = value
    hidden = tuple(_prefixes(project, job))
    return {k: v for k, v in taken.items() if not k.startswith(hidden) and k not in _OF_THE_MACHINE}


def _referred(sources: Iterable[Source], destinations: Iterable[Destination]) -> Iterator[str]:
    """The variables that these name by `env:`."""
    for source in sources:
        for _, values in source.references:
            yield from _names(values)
    for destination in destinations:
        yield from _names(destination.parameters)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _names(item)
    elif isinstance(value, str) and (found := ENV_REFERENCE.fullmatch(value)):
        yield found[1]


def _prefixes(project: Project, job: Job) -> Iterator[str]:
    """How variables of other sources and destinations begin."""
    for name in {*job.neighbours} - {job.source.name, *job.extends}:
        yield f"SOURCES__{name.upper()}__"
    for name in project.config.destinations.keys() - {job.destination.name, job.destination.type}:
        yield f"DESTINATION__{name.upper()}__"
