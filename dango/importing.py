"""What another tool's file comes to is put into a project: `sources.yml` and `secrets.toml`, all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dango.adding import change, names, with_document, write
from dango.config.document import Document
from dango.errors import ConfigError
from dango.imports import formats
from dango.imports.found import Carried, Imported, Target
from dango.imports.ledger import Note
from dango.project import Project
from dango.secrets import project_mask

_RELATIVE = "what is a relative path in them begins in the project's folder, not in the file's"


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be written; nothing is yet.

    Attributes:
        project: whose files are to change.
        imported: the file, as it was read.
        edited: `sources.yml` as it would be.
        sources: those that are added.
        targets: the destinations that are added.
        present: names of the file's sources and destinations that the project has already; these are left as they are.
        refused: names, in the file, of sources that cannot be carried over.
        notes: everything that is not carried over.
    """

    project: Project
    imported: Imported
    edited: Document
    sources: tuple[Carried, ...]
    targets: tuple[Target, ...]
    present: tuple[str, ...]
    refused: tuple[str, ...]
    notes: tuple[Note, ...]

    @property
    def diff(self) -> str:
        """What changes in `sources.yml`, as a unified diff."""
        return project_mask(self.project)(self.project.document.diff(self.edited))

    @property
    def secrets(self) -> dict[str, tuple[str, ...]]:
        """By their section in `secrets.toml` the names of the secrets that are stored, never their values."""
        return {".".join(section): tuple(names(values)) for section, values in self._sections.items() if values}

    @property
    def unset(self) -> tuple[str, ...]:
        """The variables that what is added refers to and that are not set."""
        after = with_document(self.project, self.edited)
        problems = [each for carried in self.sources for each in after.unset(after.source(carried.name))]
        for target in self.targets:
            problems += after.unset_in_destination(after.config.destinations[target.name])
        return tuple(dict.fromkeys(each.hint for each in problems))

    def write(self) -> None:
        """Writes it. Raises `DangoError` where a file was changed meanwhile, or cannot be written."""
        if self.sources or self.targets:
            write(self.project, self.edited, self._sections)

    @property
    def _sections(self) -> dict[tuple[str, ...], Any]:
        return {
            **{("destination", each.name): each.secrets for each in self.targets},
            **{("sources", each.name): each.made.secrets for each in self.sources},
        }


def plan(project: Project, file: Path, kind: str = "") -> Plan:
    """Reads a file of another tool, and what it would make of the project.

    Args:
        project: whose it is to be.
        file: the file.
        kind: one of `formats.FORMATS`; found by what the file holds where empty.

    Raises:
        ConfigError: where the file, or `sources.yml`, cannot be read.
        UsageError: where it is no file of a tool that is known.
    """
    folder = _folder(project, file)
    imported = formats.read(file, os.path.relpath(file), folder, kind)
    there = {source.name for source in project.config.sources}
    known = project.config.destinations
    targets = tuple(each for each in imported.targets if each.name not in known)
    present = [each.name for each in imported.targets if each.name in known]
    present += [each.name for each in imported.sources if each.name in there]
    document = project.document
    for target in targets:
        document = document.set_value(("destinations",), target.name, dict(target.block))
    wanted = [each for each in imported.sources if each.name not in there]
    added, faulty, after = _added(with_document(project, document), wanted)
    notes = [*imported.notes, *(_faulty(carried, error) for carried, error in faulty)]
    notes += [note for carried in added for note in _lacking(after, carried)]
    if folder and imported.sources:
        notes.append(Note(f"{os.path.relpath(file)}:1:1", "settings", _RELATIVE, "look through them"))
    refused = (*imported.refused, *(carried.was for carried, _ in faulty))
    return Plan(project, imported, after.document, tuple(added), targets, tuple(present), refused, tuple(notes))


def _added(
    before: Project, wanted: Sequence[Carried]
) -> tuple[list[Carried], list[tuple[Carried, ConfigError]], Project]:
    """The sources that can be, those that cannot with why, and the project with the former."""
    try:
        after = with_document(before, before.document.append_items(("sources",), [each.made.item for each in wanted]))
        _ = after.config
    except ConfigError:
        return _one_by_one(before, wanted)
    return [*wanted], [], after


def _one_by_one(
    before: Project, wanted: Sequence[Carried]
) -> tuple[list[Carried], list[tuple[Carried, ConfigError]], Project]:
    added, faulty = [], []
    for carried in wanted:
        try:
            before = change(before, carried.made).after
        except ConfigError as error:
            faulty.append((carried, error))
        else:
            added.append(carried)
    return added, faulty, before


def _folder(project: Project, file: Path) -> str:
    """Where the file's relative paths begin, from the project's folder."""
    above = file.resolve().parent
    # getdango's file stands where dango's does.
    here = os.path.relpath(above.parent if above.name == ".dango" else above, project.root)
    return "" if here == "." else Path(here).as_posix()


def _faulty(carried: Carried, error: ConfigError) -> Note:
    said = "; ".join(problem.message for problem in error.problems)
    return Note(
        carried.place, carried.path, f"it is no source as it stands: {said}", "mend it there, or add it by hand"
    )


def _lacking(project: Project, carried: Carried) -> Iterator[Note]:
    """What the source's registry entry needs besides."""
    source = project.source(carried.name)
    entry = project.entry(source)
    if entry is None:
        return
    values = {**source.block, **carried.made.secrets}
    if lacks := [spec.name for spec in entry.missing(values)]:
        what = f"dango's `{source.type}` needs {', '.join(f'`{each}`' for each in lacks)}, and the file has none"
        yield Note(carried.place, carried.path, what, f"dango source edit {carried.name}")
