"""The folder in which dlt keeps a source's state and packages: a cache, for what is true stands in the destination.

A note in it says which loads of the destination it knows. Where the note does not fit (the folder is an older copy,
another machine has loaded meanwhile, a run was killed right after it had loaded), what the destination says counts:
state and schemas are taken from there, and packages that were extracted from another state are set aside.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination.client import WithStateSync
from dlt.common.exceptions import DltException

from dango.dlt_internals import packages as dlt_packages
from dango.errors import StateCorrupt
from dango.files import replace_text
from dango.job import Job
from dango.project import Project

NOTE = "basis.json"
_DONE = "loaded.json"

Loads = Mapping[str, tuple[int, str]]
"""The loads that a dataset has had: by schema, how many there were and the newest load id."""

# What dlt raises over files of its own that it cannot read.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, FileNotFoundError, DltException)


def opened(folder: Path, make: Callable[[], dlt.Pipeline], job: Job, say: Callable[[str], None]) -> dlt.Pipeline:
    """A pipeline on the folder. A folder that cannot be read is set aside where the destination knows the state.

    Raises:
        StateCorrupt: where the destination keeps no state.
    """
    try:
        return _read(make())
    except _UNREADABLE as error:
        if not folder.exists():
            raise
        aside = set_aside(folder)
        pipeline = _read(make())
        if not isinstance(pipeline.destination_client(), WithStateSync):
            shutil.rmtree(folder)
            aside.rename(folder)
            raise StateCorrupt(job.source.name, _named(folder, job), error) from error
        say(f"{_named(folder, job)} cannot be read ({error}); it was moved to {aside.name}, and state is restored")
        return pipeline


def _read(pipeline: dlt.Pipeline) -> dlt.Pipeline:
    """Reads now what dlt reads when it comes to it."""
    for name in pipeline.schema_names:
        pipeline.schemas[name]
    dlt_packages.waiting(pipeline)
    return pipeline


def _named(folder: Path, job: Job) -> str:
    return Project(job.root).shown(folder)


def set_aside(folder: Path) -> Path:
    """Moves a folder out of the way; nothing in it is lost. `dango doctor` lists what is set aside."""
    stamp = dt.datetime.now(dt.timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    return folder.rename(folder.with_name(f"{folder.name}.aside-{stamp}"))


def renewed(folder: Path, *, pending: bool) -> str:
    """Makes room for a folder that begins with what the destination says.

    Returns:
        the name under which what was extracted and not loaded is kept; empty where there was nothing.
    """
    if pending:
        return set_aside(folder).name
    _forget(folder)
    return ""


def note(folder: Path, loads: Loads) -> None:
    """Says which loads of the destination the folder knows."""
    replace_text(folder / NOTE, json.dumps(loads), 0o600)


def noted(folder: Path) -> Loads | None:
    """Which loads of the destination the folder knows; None where it does not say."""
    try:
        written = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return {name: (int(count), str(newest)) for name, (count, newest) in written.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def tell(folder: Path, done: Mapping[str, Any]) -> None:
    """Says that what is extracted in the folder is loaded, for a later attempt that would load it again."""
    replace_text(folder / _DONE, json.dumps(done), 0o600)


def told(folder: Path) -> Mapping[str, Any] | None:
    """What `tell` has said; None where it has said nothing."""
    try:
        done: Mapping[str, Any] = json.loads((folder / _DONE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return done


def forget(folder: Path) -> None:
    """Deletes the folder, and all that it is about."""
    _forget(folder)


def fits(known: Loads, loads: Loads, schemas: Collection[str]) -> bool:
    """Whether the loads of a pipeline's schemas are those that were known. One that has none yet knows no load."""
    return all(known.get(name) == loads.get(name) for name in schemas or loads)


def make_private(folder: Path) -> None:
    """Takes from others what dlt lets them read: that none comes this far holds only where the folder is now."""
    for place, _, files in os.walk(folder):
        Path(place).chmod(0o700)
        for name in files:
            (Path(place) / name).chmod(0o600)


# --- what a run that is given up, or killed, must find again ------------------------------------------


def keep(folder: Path, *, refresh: bool) -> None:
    """Keeps a copy of state and schemas, for `give_up` and for the run after one that is killed.

    After a killed refresh the copy counts, whatever was extracted: the refresh has not happened. After any other run
    that was killed the folder counts, and what was extracted is loaded.
    """
    if folder.exists():
        half = folder.with_name(f"{folder.name}.copying")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(folder, half)
        half.rename(_kept(folder, refresh))


def begin_anew(folder: Path) -> None:
    """Begins a refresh of the whole source without what waits in the folder: all of it is extracted again.

    The folder is not read, and so may be broken. It comes back where the refresh fails.
    """
    if folder.exists():
        folder.rename(_kept(folder, True))
    else:
        # Nothing to come back, which is to be found again, too: the refresh that is killed has not happened.
        _kept(folder, True).mkdir(parents=True)


def give_up(folder: Path) -> None:
    """Forgets what was extracted since `keep` or `begin_anew`: state and schemas are again what they were."""
    _forget(folder)
    for kept in (_kept(folder, True), _kept(folder, False)):
        if kept.exists():
            kept.rename(folder)


def let_go(folder: Path) -> None:
    """From here on what is new counts."""
    _forget(_kept(folder, True))
    _forget(_kept(folder, False))


def put_back(folder: Path) -> None:
    """Puts back what a run that was killed has left beside the folder. Called first."""
    shutil.rmtree(folder.with_name(f"{folder.name}.copying"), ignore_errors=True)
    for one in (folder, _kept(folder, True), _kept(folder, False)):
        shutil.rmtree(_going(one), ignore_errors=True)
    if _kept(folder, True).exists() or not folder.exists():
        give_up(folder)
    _forget(_kept(folder, False))


def _kept(folder: Path, refresh: bool) -> Path:
    return folder.with_name(f"{folder.name}.{'before-refresh' if refresh else 'before'}")


def _forget(folder: Path) -> None:
    """Deletes a folder; in one step, so that no half of it is ever read."""
    if folder.exists():
        shutil.rmtree(_going(folder), ignore_errors=True)
        shutil.rmtree(folder.rename(_going(folder)))


def _going(folder: Path) -> Path:
    """The name under which a folder is deleted."""
    return folder.with_name(f"{folder.name}.dropped")
