"""A source that is being added or changed: asked before it is stored, then written, all of it or nothing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dango import secret_store
from dango.answers import Made
from dango.config.document import Document
from dango.config.models import DltNative, Source
from dango.errors import DangoError, UsageError
from dango.files import replace_text
from dango.job import Event
from dango.probe import About, Inspection, Probe, Tested
from dango.project import NATIVE, Project
from dango.registry.entry import Entry
from dango.registry.plugins import Plugin
from dango.secrets import CONFIG_FILE, SECRETS_FILE, project_mask, read_toml
from dango.specification import at, is_option, path_of
from dango.workers.supervision import at_work, prepare, values


@dataclass(frozen=True, slots=True)
class Change:
    """What storing a source would do to the project's files; nothing is written yet."""

    project: Project
    made: Made
    edited: Document
    replaces: str = ""
    """The name of the source that is changed; empty where one is added."""

    @property
    def after(self) -> Project:
        """The project as it would be."""
        return with_document(self.project, self.edited)

    @property
    def source(self) -> Source:
        """The source that would be stored."""
        return self.after.source(self.made.item["name"])

    @property
    def diff(self) -> str:
        """What changes in `sources.yml`, as a unified diff; a secret that stands in the file is masked."""
        return project_mask(self.project)(self.project.document.diff(self.edited))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that are stored, never their values."""
        return tuple(names(self.made.secrets))


def change(project: Project, made: Made, replaces: str = "") -> Change:
    """The change that stores a source.

    Raises:
        ConfigError: when `sources.yml` would not be a configuration any more, with every problem of it.
    """
    document = project.document
    if replaces:
        edited = document.replace_item(("sources", project.index(replaces)), made.item)
    else:
        edited = document.append_item(("sources",), made.item)
    changed = Change(project, made, edited, replaces)
    _ = changed.after.config  # reads it, and raises where it cannot be one
    return changed


def save(change: Change) -> None:
    """Stores the source: its secrets, then `sources.yml`; where the second fails, the first is undone.

    Raises:
        DangoError: where `sources.yml` was changed meanwhile, or a file cannot be written; both are then as they were.
    """
    write(change.project, change.edited, {("sources", change.made.item["name"]): change.made.secrets})


def write(project: Project, edited: Document, secrets: Mapping[tuple[str, ...], Mapping[str, Any]]) -> None:
    """Writes secrets, by their sections, then `sources.yml`; where one of it fails, all is as it was.

    Raises:
        DangoError: where `sources.yml` was changed meanwhile, or a file cannot be written.
    """
    if not _unchanged(project.document):
        raise DangoError(
            f"{project.document.name} was changed meanwhile, in an editor perhaps; nothing was stored",
            "the same once more, with the file as it is now",
        )
    file = project.root / SECRETS_FILE
    before = file.read_bytes() if file.exists() else None
    kept = {section: values for section, values in secrets.items() if values}
    try:
        for section, values in kept.items():
            file.parent.mkdir(exist_ok=True)
            secret_store.store(file, section, values)
        edited.save()
    except BaseException:
        # Ctrl-C, too, leaves both files as they were.
        if before is None:
            file.unlink(missing_ok=True)
        elif kept:
            replace_text(file, before.decode("utf-8"), 0o600)
        raise


def _unchanged(document: Document) -> bool:
    try:
        return document.path.read_bytes() == document.text.encode("utf-8")
    except OSError:
        return False


def with_document(project: Project, document: Document) -> Project:
    """The project as it would be with another `sources.yml`."""
    other = Project(project.root)
    # What is cached is looked for here first.
    other.__dict__["document"] = document
    return other


def describe(project: Project, module: str, function: str) -> Entry | list[str]:
    """Any dlt source's function as an entry; with an empty function, the functions that its module has.

    Raises:
        DangoError: where there is no such module or function, or importing it fails.
    """
    native = DltNative(source_module=module, source_function=function)
    return _described(project, Source(name="new", type=NATIVE, dlt_native=native))


def describe_plugin(project: Project, plugin: Plugin) -> Entry:
    """A package's source as an entry. Raises `DangoError` where it is broken."""
    entry = _described(project, Source(name="new", type=plugin.name))
    assert isinstance(entry, Entry)
    return entry


def _described(project: Project, source: Source) -> Entry | list[str]:
    prepare(project)
    job = project.job(source)
    for value in values(at_work(project, "asking:describe", job, job)):
        if isinstance(value, Entry | list):
            return value
    raise AssertionError("a worker ends with a value or an error")


def found_elsewhere(project: Project, entry: Entry, name: str) -> frozenset[str]:
    """The fields that have a value for a source of this name outside `sources.yml`: in the environment, in
    `secrets.toml`, in `config.toml`."""
    files = [read_toml(project.root / file, file) for file in (SECRETS_FILE, CONFIG_FILE)]
    environment = project.environment
    return frozenset(
        spec.name
        for spec in entry.fields
        if f"SOURCES__{name}__{spec.name}".upper() in environment
        or any(at(file, ("sources", name, *_apart(spec.name))) is not None for file in files)
    )


def _apart(field: str) -> tuple[str, ...]:
    """Where a field stands in a source's section of `secrets.toml`."""
    return path_of(field, apart=True) if is_option(field) else tuple(field.split("__"))


def specification(change: Change, say: Callable[[str], None]) -> About:
    """What a connector says that it may be told; its environment is built first, where it is not there.

    Args:
        change: that stores the source which names the connector.
        say: takes how far the environment is.

    Raises:
        DangoError: where the environment cannot be built, or the connector cannot be asked.
    """
    project, step = change.after, ""
    prepare(project)
    probe = Probe(project.job(change.source), change.made.secrets)
    for value in values(at_work(project, "asking:about", probe, probe.job)):
        if isinstance(value, About):
            return value
        if isinstance(value, Event):
            step = step if value.step == "log" else value.step
            if step == "environment" and value.message:
                say(value.message)
    raise AssertionError("a worker ends with a value or an error")


def inspect(change: Change) -> Inspection | None:
    """What the source has, asked with answers that are not stored yet; None where nothing can tell.

    Raises:
        DangoError: where it cannot be reached, with the cause.
    """
    asked = ask(change.after, change.source, change.made.secrets, "asking:inspect")
    return next((value for value in asked if isinstance(value, Inspection)), None)


def ask(
    project: Project, source: Source, answers: Mapping[str, Any] = MappingProxyType({}), work: str = "asking:test"
) -> Iterator[Inspection | Tested]:
    """Asks a source what it has, then for one row of each resource. Leaves no state, package or table behind.

    Args:
        project: whose source it is, or is to be.
        source: stored or not.
        answers: what would stand in its section of `secrets.toml`.
        work: `asking:inspect` asks what it has, and no more.

    Raises:
        DangoError: where nothing could be asked at all, with the cause.
    """
    prepare(project)
    probe = Probe(project.job(source), dict(answers))
    for value in values(at_work(project, work, probe, probe.job)):
        if isinstance(value, Inspection | Tested):
            yield value


def names(named: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The names of what a section holds, with dots where it stands deeper."""
    for key, value in named.items():
        if isinstance(value, Mapping):
            yield from names(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


class Draft:
    """The answers of a wizard that was left, but for the secret ones: `.dango/draft/<name>.json`."""

    def __init__(self, project: Project, name: str) -> None:
        self._file = project.state / "draft" / f"{name}.json"

    def load(self) -> dict[str, Any]:
        """The answers; empty where there are none, or none that can be read."""
        try:
            held = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {key: _revived(value) for key, value in held.items()} if isinstance(held, dict) else {}

    def save(self, answers: Mapping[str, Any]) -> None:
        """Keeps the answers. Raises `DangoError` where they cannot be written."""
        for folder in (self._file.parent.parent, self._file.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        replace_text(self._file, json.dumps(dict(answers), default=_plain), 0o600)

    def forget(self) -> None:
        """The source is stored; its draft is not needed any more."""
        self._file.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date):
        return {"time": value.isoformat()}
    raise UsageError(f"an answer of a kind that cannot be kept: {type(value).__name__}")


def _revived(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"time"}:
        text = str(value["time"])
        return dt.datetime.fromisoformat(text) if "T" in text else dt.date.fromisoformat(text)
    return value


def custom_files(project: Project) -> list[str]:
    """The modules of `custom_sources/`, by the names that `source_module` takes."""
    folder: Path = project.custom_sources
    return sorted(
        path.relative_to(folder).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for path in (*folder.glob("*.py"), *folder.glob("*/__init__.py"))
        if not path.relative_to(folder).as_posix().startswith("_")
    )
