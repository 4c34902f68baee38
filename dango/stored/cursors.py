"""The cursors of a source, as its next sync would find them; moved and forgotten as a load is: in the destination."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dlt

from dango.dlt_internals import packages as dlt_packages
from dango.dlt_internals import state as dlt_state
from dango.errors import UsageError, near
from dango.job import Job
from dango.load import dataset, working_folder
from dango.load.connection import connecting
from dango.load.pending import pending
from dango.load.progress import Progress
from dango.load.source_pipeline import SourcePipeline
from dango.project import Project
from dango.sources import imports
from dango.stored.cursor_values import kind_of, read, shown_value
from dango.stored.wishes import Cursor, Cursors, CursorWish, Moved

_PACKAGES = {"normalize", "load"}
"""What of a working folder holds rows; all the rest says where the source stands."""


def shown(wish: CursorWish, folder: Path) -> Cursors:
    """What the next sync goes on from. Nothing is changed, here or in the destination.

    Raises:
        UsageError: for a resource that is not known.
        DangoError: when the destination cannot be reached.
    """
    waiting = pending(folder)
    with _looking(wish.job, folder) as (pipeline, before):
        found = _found(pipeline, wish.job, before)
    _require_known(wish.resources, found, wish.job)
    return replace(_only(found, wish.resources), waiting=str(waiting) if waiting.packages else "")


def planned(wish: CursorWish, folder: Path) -> tuple[Moved, ...]:
    """What `moved` would do.

    Raises:
        UsageError: for a resource that is not known, a value that is none, and while packages wait.
        DangoError: when the destination cannot be reached.
    """
    working_folder.put_back(folder)
    _require_loaded(wish.job, folder)
    with _looking(wish.job, folder) as (pipeline, before):
        return tuple(change.told for change in _changes(wish, pipeline, _found(pipeline, wish.job, before)))


def moved(wish: CursorWish, folder: Path) -> tuple[Moved, ...]:
    """Moves cursors, or forgets them: a new version of the state is loaded, which no older one takes the place of.

    Raises:
        Held: when another process has the source or the database.
        UsageError: as `planned`.
        DangoError: when the destination cannot be reached or written; all is as it was then.
    """
    if not planned(wish, folder):
        return ()
    job = wish.job
    source_pipeline = SourcePipeline(job, folder, _silent(job))
    with source_pipeline.discreet(), source_pipeline.leased():
        source_pipeline.recover(lambda packages: None)
        pipeline = source_pipeline.pipeline
        # Another machine may have synced since it was planned, and held the source until now.
        changes = _changes(wish, pipeline, _found(pipeline, job, ""))
        working_folder.keep(folder, refresh=False)
        try:
            _load(source_pipeline, changes)
        except BaseException:
            source_pipeline.give_up()
            raise
    return tuple(change.told for change in changes)


def _load(source_pipeline: SourcePipeline, changes: list[_Change]) -> None:
    pipeline = source_pipeline.pipeline
    with dlt_state.changing(pipeline) as state:
        for change in changes:
            change.apply(state)
    pipeline.normalize()
    source_pipeline.load(dlt_packages.waiting(pipeline))


# --- what there is ------------------------------------------------------------------------------------


@contextmanager
def _looking(job: Job, folder: Path) -> Iterator[tuple[dlt.Pipeline, str]]:
    """The pipeline as a sync would find it, on a copy of the folder; and the version that the folder itself has."""
    with tempfile.TemporaryDirectory(prefix="dry-", dir=Project(job.root).state) as scratch:
        copy = Path(scratch) / folder.name
        for beside in (folder, *folder.parent.glob(f"{folder.name}.before*")):
            if beside.exists():
                shutil.copytree(beside, copy.with_name(beside.name), ignore=_without_packages)
        working_folder.put_back(copy)
        if ":" in job.destination.type:
            imports.install(Project(job.root).custom_sources)
        source_pipeline = SourcePipeline(job, copy, _silent(job))
        before = dlt_state.version(source_pipeline.pipeline.state)
        if _unborn(source_pipeline.pipeline, job):
            # A sync would make it, and begin anew.
            shutil.rmtree(copy)
            source_pipeline = SourcePipeline(job, copy, _silent(job))
        else:
            source_pipeline.recover(lambda packages: None)
        yield source_pipeline.pipeline, before


def _without_packages(path: str, names: list[str]) -> set[str]:
    """What is left out of a copy: only the folder of a pipeline, which may itself bear such a name, has packages."""
    return _PACKAGES.intersection(names) if "state.json" in names else set()


def _unborn(pipeline: dlt.Pipeline, job: Job) -> bool:
    """Whether there is no database yet, which looking would make."""
    file = dataset.database_file(pipeline, job)
    return file is not None and not file.exists()


def _found(pipeline: dlt.Pipeline, job: Job, before: str) -> Cursors:
    state = pipeline.state
    # By their names: a source whose function was renamed has left what it remembered, and goes on with what comes last.
    cursors, others = {}, {}
    for name, kept in dlt_state.resources(state):
        for path, stored in kept.get(dlt_state.INCREMENTAL, {}).items():
            value, initial = stored.get("last_value"), stored.get("initial_value")
            cursors[name, path] = Cursor(name, path, shown_value(value), shown_value(initial), kind_of(value))
        if own := tuple(key for key in kept if key != dlt_state.INCREMENTAL):
            others[name] = own
    remembering = {name for name, _ in cursors} | others.keys()
    tables = (table for name in pipeline.schema_names for table in pipeline.schemas[name].data_tables())
    loaded = {str(table.get("resource") or "") for table in tables if not str(table["name"]).startswith("_")}
    without = tuple(sorted(loaded - remembering - {""}))
    if not remembering:
        return Cursors(without=without)
    origin: Any = "working folder" if dlt_state.version(state) == before else "destination"
    return Cursors(tuple(cursors.values()), others, without, origin, _stored(pipeline, job, state))


def _stored(pipeline: dlt.Pipeline, job: Job, state: Mapping[str, Any]) -> dt.datetime | None:
    """When the state was written: the destination's word, for what waits here the folder's."""
    with connecting(job), dataset.writing(pipeline, job):
        written = dataset.patiently(job, dlt_state.stored, pipeline)
    if written is not None and written.version_hash == dlt_state.version(state):
        return _plain(written.created_at)
    extracted = dlt_state.extracted(state)
    return _plain(extracted) if extracted else None


def _plain(value: dt.datetime) -> dt.datetime:
    """Without what only dlt's own times have."""
    return dt.datetime.fromisoformat(value.isoformat())


def _only(found: Cursors, resources: tuple[str, ...]) -> Cursors:
    if not resources:
        return found
    cursors = tuple(cursor for cursor in found.cursors if cursor.resource in resources)
    others = {name: keys for name, keys in found.others.items() if name in resources}
    without = tuple(name for name in found.without if name in resources)
    if not (cursors or others):
        return Cursors(without=without)
    return replace(found, cursors=cursors, others=others, without=without)


# --- what is to change --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Change:
    told: Moved
    value: Any = None

    def apply(self, state: Mapping[str, Any]) -> None:
        """Makes it in dlt's state."""
        if self.told.forgotten:
            dlt_state.forget(state, self.told.resource)
        else:
            dlt_state.move(state, self.told.resource, self.told.path, self.value)


def _changes(wish: CursorWish, pipeline: dlt.Pipeline, found: Cursors) -> list[_Change]:
    if not wish.reset:
        return [_set(key, text, wish, pipeline, found) for key, text in wish.values.items()]
    _require_known(wish.resources, found, wish.job)
    chosen = _only(found, wish.resources)
    forgotten = [
        Moved(cursor.resource, cursor.path, cursor.value, cursor.initial, forgotten=True) for cursor in chosen.cursors
    ]
    named = {moved.resource for moved in forgotten}
    forgotten += [Moved(name, "", None, None, forgotten=True) for name in chosen.others if name not in named]
    return [_Change(replace(each, warning=_doubling(each.resource, pipeline, wish.job))) for each in forgotten]


def _set(key: str, text: str, wish: CursorWish, pipeline: dlt.Pipeline, found: Cursors) -> _Change:
    cursor = _cursor(key, wish, found)
    *_, present = (
        stored.get("last_value") if stored.get("last_value") is not None else stored.get("initial_value")
        for name, kept in dlt_state.resources(pipeline.state)
        for path, stored in kept.get(dlt_state.INCREMENTAL, {}).items()
        if (name, path) == (cursor.resource, cursor.path)
    )
    value = read(text, present, cursor)
    told = Moved(cursor.resource, cursor.path, cursor.value, shown_value(value))
    back = present is not None and cursor.value is not None and value <= present
    return _Change(replace(told, warning=_doubling(cursor.resource, pipeline, wish.job) if back else ""), value)


def _cursor(key: str, wish: CursorWish, found: Cursors) -> Cursor:
    """The cursor that is meant by a resource's name, or by `resource:path`."""
    matching = [c for c in found.cursors if key in (c.resource, f"{c.resource}:{c.path}")]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ways = ", ".join(f"{c.resource}:{c.path}" for c in matching)
        raise UsageError(f"`{key}` has more than one cursor: {ways}", f"--set {key}:{matching[0].path}=…")
    name = key.partition(":")[0]
    _require_known((name,), found, wish.job)
    paths = [f"{c.resource}:{c.path}" for c in found.cursors if c.resource == name]
    if paths:
        raise UsageError(f"`{name}` has no cursor `{key.partition(':')[2]}`{near(key, paths)}")
    raise UsageError(
        f"`{name}` keeps no cursor: there is none to set",
        f"a cursor of `{wish.job.source.name}` is kept from its first sync on; `resources: {{{name}: {{cursor: "
        "{field: …, initial: …}}}` in sources.yml gives it one",
    )


def _doubling(resource: str, pipeline: dlt.Pipeline, job: Job) -> str:
    """What to know where rows that are loaded already come again; empty where they take each other's place."""
    tables = [table for each in pipeline.schema_names for table in pipeline.schemas[each].data_tables()]
    if not any(table.get("resource") == resource and _adds(table) for table in tables):
        return ""
    return (
        f"`{resource}` appends: rows that are loaded again are there twice then;"
        f" in their place: dango sync {job.source.name} --full-refresh --resource {resource}"
    )


def _adds(table: Mapping[str, Any]) -> bool:
    keyed = any(column.get("primary_key") or column.get("merge_key") for column in table["columns"].values())
    disposition = table.get("write_disposition")
    return disposition == "append" or (disposition == "merge" and not keyed)


def _require_known(resources: tuple[str, ...], found: Cursors, job: Job) -> None:
    known = {*(c.resource for c in found.cursors), *found.others, *found.without, *(job.source.resources or ())}
    for name in resources:
        if name not in known:
            raise UsageError(
                f"`{job.source.name}` has loaded no resource `{name}`{near(name, known)}",
                f"resources: {', '.join(sorted(known))}" if known else f"dango sync {job.source.name}",
            )


def _require_loaded(job: Job, folder: Path) -> None:
    if (waiting := pending(folder)).packages:
        raise UsageError(
            f"{waiting} of `{job.source.name}` extracted and not loaded, and the cursor moves with them;"
            " nothing was changed",
            f"first: dango sync {job.source.name}",
        )


def _silent(job: Job) -> Progress:
    return Progress(job.source.name, lambda event: None)
