"""One of dlt's verified sources: copied at a commit into `custom_sources/`, and brought up to date later.

A record beside the copy says which commit it is and what every file was, so that an update tells what was changed
here from what was changed there. Both end with one rename: interrupted, they leave everything as it was.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, Field, ValidationError

from dango import git, packages
from dango.errors import FetchFailed, UsageError, near
from dango.files import require_inside
from dango.project import Project
from dango.reconcile import Blob, File, Step, digest, plan

REPOSITORY = "https://github.com/dlt-hub/verified-sources"
COMMIT = "3957506893a7da821dbcc6acd51c7ca4475d1f53"
RECORD = ".fetched.json"
_FOLDER = "sources"
_MODES = {"100644": 0o666, "100755": 0o777}


class Record(BaseModel):
    """Where a copy comes from; `files` are names and the SHA-256 of what they were there."""

    repository: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
    path: Annotated[str, Field(pattern=r"^sources/[A-Za-z_][A-Za-z0-9_]*$")]
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A source as it now lies in `custom_sources/`. `before` is the commit that an update started from."""

    name: str
    commit: str
    files: tuple[File, ...]
    missing: tuple[str, ...]
    """What its requirements.txt asks for and is not installed."""
    before: str = ""
    substitute: bool = False
    """Whether the commit is the copy's HEAD, because the copy does not have the one that dango pins."""

    @property
    def conflicts(self) -> tuple[File, ...]:
        """The files that a person has to settle."""
        return tuple(file for file in self.files if file.status == "conflict")


def fetch(
    project: Project, name: str, origin: Path | None = None, commit: str | None = None, url: str = REPOSITORY
) -> Fetched:
    """Copies a source into `custom_sources/NAME/`, which must not exist.

    Args:
        project: the project.
        name: the folder's name in the repository.
        origin: a copy of the repository on this machine; without it, it is fetched from `url`.
        commit: an id, a branch or a tag; default: the one that dango pins, or the copy's HEAD where that is missing.
        url: the repository.

    Raises:
        UsageError: for a name that is there already, an unknown one, and one that dlt itself ships; and where
            `custom_sources` leads out of the project.
        FetchFailed: when the repository cannot be reached, or holds what cannot be copied.
    """
    _check_name(name)
    require_inside(project.custom_sources, project.root)
    _check_free(project, name)
    with _opened(name, origin, url) as repository:
        taken, substitute = _commit(repository, commit)
        theirs = _read(repository, taken, name)
    steps = [Step(File(path, "new"), blob) for path, blob in sorted(theirs.items())]
    _write(project.custom_sources / name, steps, _record(taken, name, theirs), over=False)
    return Fetched(name, taken, tuple(step.file for step in steps), _missing(theirs), substitute=substitute)


def update(
    project: Project, name: str, origin: Path | None = None, commit: str | None = None, url: str = REPOSITORY
) -> Fetched:
    """Brings a fetched source to another commit, and keeps what was changed here. The arguments are those of `fetch`.

    Raises:
        UsageError: when it was not fetched, or an earlier update left a conflict that is not settled.
        FetchFailed: as `fetch`.
    """
    _check_name(name)
    folder = project.custom_sources / name
    require_inside(folder, project.root)
    record = _recorded(folder)
    # The folder may have been renamed since.
    source = PurePosixPath(record.path).name
    with _opened(f"--update {name}", origin, url) as repository:
        taken, substitute = _commit(repository, commit)
        theirs = _read(repository, taken, source)

        @cache
        def base() -> Mapping[str, Blob]:
            there = repository.commit(record.commit)
            return _read(repository, there, source) if there else {}

        mine = _mine(folder)
        labels = (f"{name} here", f"{source} {record.commit[:7]}", f"{source} {taken[:7]}")
        steps = list(plan(record.files, mine, theirs, base, labels))
    _check_settled(name, steps, mine)
    if (new := _record(taken, source, theirs)) != record:
        _write(folder, steps, new, over=True)
    files = tuple(step.file for step in steps)
    return Fetched(name, taken, files, _missing(theirs), record.commit, substitute)


def _check_name(name: str) -> None:
    if not name.isidentifier():
        raise UsageError(f"`{name}` is no name of a source", "a plain name, such as `pipedrive`")
    # A stub of that name would stand in front of the real one.
    if is_of_dlt(name):
        raise UsageError(f"`{name}` comes with dlt itself: there is nothing to fetch", f"source_module: {name}")


def is_of_dlt(name: str) -> bool:
    """Whether the installed dlt has it, seen from its folder: importing dlt takes a second."""
    found = importlib.util.find_spec("dlt")
    return bool(
        found and found.origin and Path(found.origin).with_name("sources").joinpath(name, "__init__.py").exists()
    )


def _check_free(project: Project, name: str) -> None:
    folder = project.custom_sources / name
    if (folder / RECORD).is_file():
        raise UsageError(f"custom_sources/{name}/ is fetched already", f"dango source fetch --update {name}")
    for path in (folder, folder.with_suffix(".py")):
        if os.path.lexists(path):
            raise UsageError(
                f"custom_sources/{path.name} is there already, and was not fetched",
                "nothing was written; rename it, or keep yours",
            )


@contextmanager
def _opened(words: str, origin: Path | None, url: str) -> Iterator[git.Repository]:
    opened: AbstractContextManager[git.Repository] = nullcontext(git.local(origin)) if origin else git.remote(url)
    try:
        with opened as repository:
            yield repository
    except git.Unreachable as error:
        raise FetchFailed(
            f"cannot reach {origin or url}: {error}",
            f"with a copy of the repository on this machine: dango source fetch {words} --from DIR",
        ) from error


def _commit(repository: git.Repository, wanted: str | None) -> tuple[str, bool]:
    """The commit to take, and whether it is a substitute for the pinned one."""
    if found := repository.commit(wanted or COMMIT):
        return found, False
    if not wanted and not repository.url and (head := repository.commit("HEAD")):
        return head, True
    raise UsageError(
        f"{repository.url or repository.folder} has no commit `{wanted or COMMIT}`",
        "--commit takes a whole id, a branch or a tag",
    )


def _read(repository: git.Repository, commit: str, name: str) -> dict[str, Blob]:
    """The files of a source at a commit. Raises `FetchFailed` where one is not a plain file below the folder."""
    entries = repository.entries(commit, f"{_FOLDER}/{name}")
    if not entries:
        listed = repository.folders(commit, _FOLDER)
        known = [folder for folder in listed if folder.isidentifier() and not is_of_dlt(folder)]
        raise UsageError(
            f"no verified source `{name}` at {commit[:7]}{near(name, known)}",
            f"there are: {', '.join(known)}" if known else f"the repository has no folder {_FOLDER}/",
        )
    for entry in entries:
        if entry.mode not in _MODES or not _is_plain(entry.name):
            raise FetchFailed(
                f"{_FOLDER}/{name} at {commit[:7]} holds {entry.name!r}, which is no plain file: nothing was written",
                "links, submodules and names that could mean another place are not copied",
            )
    contents = repository.read([entry.id for entry in entries])
    return {entry.name: Blob(data, _MODES[entry.mode]) for entry, data in zip(entries, contents, strict=True)}


def _is_plain(name: str) -> bool:
    """Whether the name stays below its folder, on any system, and is neither ours nor git's."""
    parts = name.split("/")
    return (
        not any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
        and not any(character in name for character in "\\:")
        and name.isprintable()
        and name != RECORD
    )


def _check_settled(name: str, steps: list[Step], mine: Mapping[str, bytes]) -> None:
    """That no conflict which an earlier update left is overwritten."""
    for file, blob in ((step.file, step.blob) for step in steps if step.file.beside):
        if blob and mine.get(file.beside, blob.data) != blob.data:
            raise UsageError(
                f"custom_sources/{name}/{file.beside} is left from an earlier update: nothing was written",
                f"settle it in {file.name}, delete {file.beside}, then update again",
            )


def _write(folder: Path, steps: list[Step], record: Record, *, over: bool) -> None:
    """Builds the whole folder beside its place, then puts it there; `over` the one that is there."""
    try:
        folder.parent.mkdir(exist_ok=True)
        # Its name starts with a dot: nothing can be imported from it.
        prefix = f".{folder.name}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True) as temporary:
            built = Path(temporary, "new")
            if over:
                shutil.copytree(folder, built, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            built.mkdir(exist_ok=True)
            # First what goes: a file may become a folder.
            for step in sorted(steps, key=lambda step: step.file.status != "removed"):
                _apply(built, step)
            text = json.dumps(record.model_dump(), indent=1) + "\n"
            (built / RECORD).write_text(text, encoding="utf-8")
            if over:
                _swap(folder, built, Path(temporary, "before"))
            else:
                built.rename(folder)
    except OSError as error:
        raise FetchFailed(f"custom_sources/{folder.name} cannot be written: {error.strerror or error}") from error


def _apply(folder: Path, step: Step) -> None:
    path = folder / step.file.name
    if step.file.status == "removed":
        path.unlink()
        while path.parent != folder and not any(path.parent.iterdir()):
            path = path.parent
            path.rmdir()
    elif step.blob:
        target = folder / (step.file.beside or step.file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Never through a link.
        target.unlink(missing_ok=True)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, step.blob.mode)
        with os.fdopen(handle, "wb") as out:
            out.write(step.blob.data)


def _swap(folder: Path, built: Path, before: Path) -> None:
    try:
        folder.rename(before)
        built.rename(folder)
    finally:
        # Interrupted between the two: what was there comes back.
        if before.exists() and not folder.exists():
            before.rename(folder)


def _record(commit: str, name: str, files: Mapping[str, Blob]) -> Record:
    hashes = {path: digest(blob.data) for path, blob in sorted(files.items())}
    return Record(repository=REPOSITORY, commit=commit, path=f"{_FOLDER}/{name}", files=hashes)


def _recorded(folder: Path) -> Record:
    place = f"custom_sources/{folder.name}/{RECORD}"
    try:
        record = Record.model_validate_json((folder / RECORD).read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"custom_sources/{folder.name}/ was not fetched ({RECORD} is missing)", f"dango source fetch {folder.name}"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", place=place) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where or 'the file'}: {first['msg']}", "take it from git again", place=place) from error
    if strange := [name for name in record.files if not _is_plain(name)]:
        raise UsageError(f"files: `{strange[0]}` is no file of the source", "take it from git again", place=place)
    return record


def _mine(folder: Path) -> dict[str, bytes]:
    """The files of the folder as they are now, and what a person added to them."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names = {PurePosixPath(path.relative_to(folder)).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if name != RECORD}


def _missing(files: Mapping[str, Blob]) -> tuple[str, ...]:
    """The requirements of the source that are not installed, as they are written; dlt is."""
    blob = files.get("requirements.txt")
    text = blob.data.decode("utf-8", "replace") if blob else ""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return tuple(packages.missing([line for line in lines if _name(line) not in ("", "dlt")]))


def _name(line: str) -> str:
    """The package that a line names; empty for an option of pip (`-r other.txt`), which nobody can look up."""
    try:
        return Requirement(line).name
    except InvalidRequirement:
        return ""
