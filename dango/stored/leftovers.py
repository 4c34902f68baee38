"""What past runs left in `.dango/`: found in the files alone, without dlt and without the destination."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dango import parts
from dango.config.models import EMBEDDED, Source
from dango.history import History
from dango.leftover import Leftover, LeftoverKind
from dango.load.pending import pending, size, size_text, unfinished
from dango.project import Project

_OLD = 3600.0
"""Seconds after which nobody is at work any more on what no lock guards."""
_FOLDER = re.compile(
    r"(?P<source>[a-z][a-z0-9_]*)--(?P<destination>[a-z][a-z0-9_]*)--(?P<dataset>[^.]+)(?P<rest>\..+)?"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A leftover, and what `--fix` does about it; None where only a person or a sync can help."""

    leftover: Leftover
    repair: Callable[[], object] | None = None

    def settled(self, fix: bool, faults: type[Exception] = OSError) -> Leftover:
        """The leftover as it is reported; repaired where that is wanted and can be done.

        Args:
            fix: whether to repair it.
            faults: what a repair may raise; it is then told, and the leftover stays.
        """
        leftover = replace(self.leftover, fixable=self.repair is not None)
        if not fix or self.repair is None:
            return leftover
        try:
            self.repair()
        except faults as error:
            reason = " ".join(str(error).split())
            return replace(leftover, what=f"{leftover.what}; the repair failed: {reason}")
        return replace(leftover, fixed=True)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in `.dango/pipelines/`, or a file beside one, by what its name says."""

    path: Path
    source: str
    destination: str
    dataset: str
    rest: str
    """What stands behind the name: `.before-refresh`, `.aside-<when>` and the like; empty for a working folder."""


def folders(project: Project) -> list[Folder]:
    """What stands in `.dango/pipelines/`, by name."""
    paths = sorted((project.state / "pipelines").glob("*"))
    named = [(path, _FOLDER.fullmatch(path.name)) for path in paths]
    return [Folder(path, **{**name.groupdict(), "rest": name["rest"] or ""}) for path, name in named if name]


def of_sources(project: Project, sources: Collection[str]) -> Iterator[Found]:
    """What past runs of these sources left; also of such as are not in `sources.yml` any more."""
    for folder in folders(project):
        if folder.source in sources:
            yield from _in_folder(project, folder)
    for plan in parts.unfinished(project.state):
        if plan.source in sources:
            what = f"{len(plan.done)} of {len(plan.division.parts)} parts of a run that was stopped are loaded"
            needs = f"dango sync --resume {plan.run}"
            yield Found(Leftover(plan.source, "parts", what, _at(project, plan.folder), needs))
    for name, result in sorted(History(project.state).last().items()):
        source = _configured(project, name)
        if name in sources and source and source.enabled and result.status == "crashed" and not result.trial:
            what = f"its last run crashed and it was not synced since: {result.error.message if result.error else ''}"
            yield Found(Leftover(name, "crashed", what, f"run {result.run}", f"dango sync {name}"))


def of_project(project: Project, busy: Collection[str]) -> Iterator[Found]:
    """What past runs left that belongs to no source. `busy` are the sources that someone works on."""
    pipelines = {source.pipeline for source in project.config.sources if source.name in busy}
    for path in sorted((*project.state.glob("trial-*"), *project.state.glob("dry-*"))):
        if _is_used(path, pipelines):
            continue
        what = (
            f"a {'trial' if path.name.startswith('trial-') else 'check'} that was killed left {size_text(size(path))}"
        )
        yield _removable(project, "", "scratch", what, path)
    for path in sorted((project.state / "draft").glob("*.json")):
        if _age(path) > _OLD:
            command = f"dango source edit {path.stem[5:]}" if path.stem.startswith("edit-") else "dango source add"
            needs = f"`{command}` goes on with it; --fix forgets it"
            leftover = Leftover("", "draft", f"answers to `{command}` that were not stored", _at(project, path), needs)
            yield Found(leftover, path.unlink)


def _in_folder(project: Project, folder: Folder) -> Iterator[Found]:
    removable = partial(_removable, project, folder.source)
    waiting = pending(folder.path)
    waits = f" ({waiting} wait in it)" if waiting.packages else ""
    if folder.rest.startswith(".aside-"):
        what = f"set aside at {folder.rest.removeprefix('.aside-')}, because it did not fit its destination any more"
        yield removable("aside", f"{what} or could not be read: {size_text(size(folder.path))}{waits}", folder.path)
    elif folder.rest in (".dropped", ".copying"):
        yield removable("refresh", f"half a copy of the local state: {size_text(size(folder.path))}", folder.path)
    elif reason := _orphaned(project, folder):
        yield from _of_orphan(project, folder, reason)
    elif folder.rest in (".before-refresh", ".before"):
        killed = "a full refresh" if folder.rest == ".before-refresh" else "a run"
        yield _to_sync(project, folder, "refresh", f"{killed} was killed; the state before it stands aside{waits}")
    elif folder.rest == ".failed.jsonl":
        what = f"records that failed wait to be written to `_dango_errors`: {size_text(size(folder.path))}"
        yield _to_sync(project, folder, "pending", what)
    elif not folder.rest:
        yield from _in_working_folder(project, folder)


def _in_working_folder(project: Project, folder: Folder) -> Iterator[Found]:
    waiting = pending(folder.path)
    if broken := _unreadable(folder.path):
        what = f"the local state cannot be read ({broken}); the next sync sets it aside and restores it"
        yield _to_sync(project, folder, "corrupt", what)
    if waiting.packages:
        yield _to_sync(project, folder, "pending", f"{waiting} extracted and not loaded")
    if begun := unfinished(folder.path):
        what = f"a run that was killed before all was extracted left {size_text(sum(map(size, begun)))}"
        leftover = Leftover(folder.source, "unfinished", what, _at(project, folder.path), "--fix removes it")
        yield Found(leftover, partial(_remove, begun))


def _of_orphan(project: Project, folder: Folder, reason: str) -> Iterator[Found]:
    waiting = pending(folder.path)
    if not waiting.packages:
        yield _removable(project, folder.source, "orphan", f"local state of {reason}", folder.path)
        return
    needs = "put the configuration back and sync, or remove the folder and what waits in it"
    what = f"{waiting} extracted and not loaded, of {reason}"
    yield Found(Leftover(folder.source, "orphan", what, _at(project, folder.path), needs))


def _orphaned(project: Project, folder: Folder) -> str:
    """Why no sync will ever use the folder again; empty where one may.

    Another destination that is configured is no reason: `sync --destination` goes there.
    """
    source = _configured(project, folder.source)
    if source is None:
        return "a source that is not in sources.yml"
    if source.dataset != folder.dataset:
        return f"the dataset {folder.dataset}; `{source.name}` loads to {source.dataset} now"
    if folder.destination not in (EMBEDDED, *project.config.destinations):
        return f"the destination `{folder.destination}`, which is not in sources.yml"
    return ""


def _to_sync(project: Project, folder: Folder, kind: LeftoverKind, what: str) -> Found:
    """What the next sync takes care of."""
    source = project.source(folder.source)
    command = f"dango sync {source.name}"
    if folder.destination != project.destination(source).name:
        command += f" --destination {folder.destination}"
    if not source.enabled:
        command = f"dango source enable {source.name}, then {command}"
    return Found(Leftover(source.name, kind, what, _at(project, folder.path), command))


def _removable(project: Project, source: str, kind: LeftoverKind, what: str, path: Path) -> Found:
    leftover = Leftover(source, kind, what, _at(project, path), "--fix removes it")
    return Found(leftover, partial(_remove, [path]))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink() if path.is_file() else shutil.rmtree(path)


def _is_used(scratch: Path, busy: Collection[str]) -> bool:
    """Whether a trial's or a check's folder may be in use.

    A trial holds the lock of its source, whose pipeline has a folder in it; a check holds none and takes seconds.
    """
    inside = {path.name for path in scratch.glob("*")}
    if scratch.name.startswith("trial-") and inside:
        return bool(inside & {*busy})
    return _age(scratch) < _OLD


def _unreadable(folder: Path) -> str:
    """The file of the local state that dlt could not read; empty where all is well."""
    files = [(path, "_state_engine_version") for path in folder.glob("*/state.json")]
    files += [(path, "tables") for path in folder.glob("*/schemas/*.schema.json")]
    return next((path.name for path, key in files if key not in _document(path)), "")


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _configured(project: Project, name: str) -> Source | None:
    return next((source for source in project.config.sources if source.name == name), None)


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _at(project: Project, path: Path) -> str:
    return project.shown(path)
