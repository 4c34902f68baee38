"""Environments of a source's own: packages that no other source sees, and that may contradict any other's.

Each stands in `.dango/environments/`, named by what it holds, so that sources that want the same share one, and what
is there already needs no network. Its builder is uv where that is installed, else venv and pip.

What runs inside is one of two: a connector's child program, which needs nothing of dango; or, for a source that is a
Python function, the worker itself, which needs what dango is made of.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from dango.errors import EnvironmentFailed
from dango.job import Job
from dango.lock import lock
from dango.project import Project
from dango.registry.entry import Function

PLACEHOLDER = "${environment}"
"""An entry whose arguments hold it runs a child program there."""
NOTE = "environment.json"
VARIABLE = "DANGO_ENVIRONMENTS"
"""Names another folder for them than that of the project: one that an image brings, or that projects share."""
_ALIKE = ("dlt", "duckdb")
"""What a worker must have in the version that dango has here: they write the same files and tables."""
_DRIVERS = ("psycopg2-binary", "psycopg2")
_SOURCE = ("py", "toml", "cfg", "yaml", "yml")
_TAIL = 12
_WAIT = 1800.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An environment that a source asks for, which may not be there yet.

    Attributes:
        folder: where it stands.
        requirements: as pip takes them, those that dango itself needs included.
        python: a version (`3.12`) or a path; empty for the Python that runs dango.
        own: the requirements of the source, as they are written.
        built_with: constraints on what packages are built with.
        of_worker: whether the worker itself runs there, or a child program.
    """

    folder: Path
    requirements: tuple[str, ...]
    python: str
    own: tuple[str, ...]
    built_with: tuple[str, ...]
    of_worker: bool

    def is_built(self) -> bool:
        """Whether it is there, whole."""
        return (self.folder / NOTE).is_file()

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return scripts(self.folder) / ("python.exe" if os.name == "nt" else "python")


@dataclass(frozen=True, slots=True)
class Built:
    """An environment that is there, or what is left of one."""

    folder: Path
    requirements: tuple[str, ...]
    python: str
    created: dt.datetime | None
    """None where it was never finished."""
    size: int
    """Bytes on the disk."""
    sources: tuple[str, ...] = ()
    """Who asks for it now."""


def wanted(job: Job) -> Wanted | None:
    """The environment that the job's source asks for; None where it has none of its own."""
    asked = job.source.environment
    if asked is None:
        return None
    child = has_child(job)
    own = tuple(_located(text, job.root) for text in asked.requirements)
    base = () if child else _dangos()
    python = asked.python or ""
    built_with = asked.build_constraints
    folder = environments_of(Project(job.root)) / _name(own, (*base, *built_with), python, job.root)
    return Wanted(folder, (*base, *own), python, asked.requirements, built_with, not child)


def has_child(job: Job) -> bool:
    """Whether it is a child program that runs in the source's environment, and not the worker."""
    return job.entry is not None and isinstance(job.entry.build, Function) and _names(job.entry.build.args)


def interpreter(job: Job) -> Path | None:
    """The Python in which the source's own code runs; None where that is the one that runs dango."""
    asked = wanted(job)
    return asked.interpreter if asked is not None and asked.of_worker else None


def environments_of(project: Project) -> Path:
    """Where a project's environments stand."""
    return project.root / os.environ.get(VARIABLE, project.state / "environments")


def scripts(folder: Path) -> Path:
    """Where an environment has its programs."""
    return folder / ("Scripts" if os.name == "nt" else "bin")


def build(asked: Wanted, say: Say) -> None:
    """Makes the environment, unless it is there; another process that makes it is waited for.

    Raises:
        EnvironmentFailed: with the requirement that is at fault, as far as the tool tells, and the tool's last lines.
        Held: when another process makes it for longer than half an hour.
    """
    if asked.is_built():
        return
    name = " ".join(asked.own) or "an empty one"
    _require_writable(asked.folder.parent, name)
    with lock(asked.folder.with_suffix(".lock"), f"the environment with {name}", _WAIT, say):
        if asked.is_built():
            return
        say(f"building an environment: {name}")
        # What a build that was killed has left is no environment, and would be taken for one.
        shutil.rmtree(asked.folder, ignore_errors=True)
        constraints = asked.folder.with_suffix(".txt")
        constraints.write_text("\n".join(asked.built_with), encoding="utf-8")
        try:
            for step in _uv(asked, constraints) or _pip(asked, constraints):
                _run(step, asked)
        except EnvironmentFailed:
            shutil.rmtree(asked.folder, ignore_errors=True)
            raise
        finally:
            constraints.unlink()
        note = {
            "requirements": list(asked.own), "python": asked.python, "of_worker": asked.of_worker,
            "created": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        }  # fmt: skip
        # The last thing to be written: with it the environment is whole.
        (asked.folder / NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")


def _require_writable(folder: Path, name: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            # The system says why not, if not.
            pass
    except OSError as error:
        raise EnvironmentFailed(
            f"no environment is built with {name}, and {folder} cannot be written: {error.strerror}",
            "dango env build, where it can be: while an image is built, for instance",
        ) from error


def built(project: Project) -> list[Built]:
    """What stands in the project's folder of environments, each with who asks for it."""
    folder = environments_of(project)
    if not folder.is_dir():
        return []
    users: dict[Path, list[str]] = {}
    for source in project.config.sources:
        if asked := wanted(project.job(source)):
            users.setdefault(asked.folder, []).append(source.name)
    return [_read(each, tuple(users.get(each, ()))) for each in sorted(folder.iterdir()) if each.is_dir()]


def prune(project: Project, *, unused: bool = True) -> Iterator[Built]:
    """Removes the environments that no source asks for, or all of them; yields each that is gone."""
    for each in built(project):
        if unused and each.sources:
            continue
        with lock(each.folder.with_suffix(".lock"), f"the environment {each.folder.name}"):
            shutil.rmtree(each.folder)
        yield each


def _read(folder: Path, sources: tuple[str, ...]) -> Built:
    size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        created = dt.datetime.fromisoformat(note["created"])
        return Built(folder, tuple(note["requirements"]), note["python"], created, size, sources)
    except (OSError, ValueError, KeyError, TypeError):
        return Built(folder, (), "", None, size, sources)


def _names(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_names, value.values()))
    return any(map(_names, value)) if isinstance(value, list) else value == PLACEHOLDER


def _located(requirement: str, root: Path) -> str:
    """A folder or a file of the project by its whole path: the tool runs elsewhere."""
    return str((root / requirement).resolve()) if requirement.startswith(("./", "../")) else requirement


def _name(own: Sequence[str], base: Sequence[str], python: str, root: Path) -> str:
    """A name for what an environment holds, the same wherever the project stands."""
    here = f"{platform.system()}-{platform.machine()}-{python or platform.python_version()}"
    said = [_fingerprint(text, root) for text in own]
    return hashlib.sha256("\n".join([here, *sorted(base), "", *sorted(said)]).encode()).hexdigest()[:16]


def _fingerprint(requirement: str, root: Path) -> str:
    """Of a folder also what it holds: a package that is being written is built anew, and a copy of it is not."""
    path = Path(requirement)
    if not path.is_absolute():
        return requirement
    held = hashlib.sha256()
    for file in [path] if path.is_file() else _sources(path):
        held.update(f"{os.path.relpath(file, path)}\0".encode() + file.read_bytes())
    return f"{os.path.relpath(path, root)} {held.hexdigest()}"


def _sources(folder: Path) -> Iterator[Path]:
    """The files of a package that is being written, in an order of their own; not what building it leaves there."""
    for file in sorted(file for suffix in _SOURCE for file in folder.rglob(f"*.{suffix}")):
        parts = file.relative_to(folder).parts
        if parts[0] != "build" and not any(part.startswith(".") for part in parts):
            yield file


@cache
def _dangos() -> tuple[str, ...]:
    """What dango is made of, for an interpreter in which its own code is then found."""
    alike = {name: importlib.metadata.version(name) for name in _ALIKE}
    needed = [Requirement(text) for text in importlib.metadata.requires("dango") or ()]
    core = [each for each in needed if not (each.marker and "extra" in str(each.marker))]
    for each in core:
        if each.name in alike:
            each.specifier &= f"=={alike[each.name]}"
    return (*(str(each) for each in core), *_drivers())


def _drivers() -> Iterator[str]:
    """The destination's driver, where it is one that is installed here."""
    for name in _DRIVERS:
        try:
            yield f"{name}=={importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def _uv(asked: Wanted, constraints: Path) -> list[list[str]] | None:
    """How uv makes it; None where there is no uv."""
    program = shutil.which("uv") or _beside_python("uv")
    if program is None:
        return None
    python = asked.python or sys.executable
    made = [program, "venv", "--quiet", "--no-project", "--python", python, str(asked.folder)]
    # As pip does by itself: where nothing may be written later, each sync would compile all that it imports.
    install = [program, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(asked.interpreter)]
    install += asked.requirements
    install += ["--build-constraints", str(constraints)] if asked.built_with else []
    return [made, install] if asked.requirements else [made]


def _pip(asked: Wanted, constraints: Path) -> list[list[str]]:
    python = shutil.which(f"python{asked.python}") or asked.python if asked.python else sys.executable
    pip = [str(asked.interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    # In the environment that pip builds in, too: https://pip.pypa.io/en/stable/cli/pip_install/
    pip += ["--build-constraint", str(constraints)] if asked.built_with else []
    made = [python, "-m", "venv", str(asked.folder)]
    return [made, [*pip, *asked.requirements]] if asked.requirements else [made]


def _beside_python(name: str) -> str | None:
    path = Path(sys.executable).with_name(name)
    return str(path) if path.is_file() else None


def _run(command: Sequence[str], asked: Wanted) -> None:
    # Neither the environment that is active here, nor the project's packages, are any matter of the tool's.
    surroundings = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=surroundings, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise EnvironmentFailed(
            f"an environment cannot be built: {command[0]}: {error.strerror}",
            "name an installed Python under `environment: python:`, or install uv, which brings any",
            loc=("environment", "python"),
        ) from error
    if done.returncode:
        lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        raise _failed(lines, asked, Path(command[0]).name)


def _failed(lines: Sequence[str], asked: Wanted, tool: str) -> EnvironmentFailed:
    """Says which requirement it was, where the tool's words name one of them."""
    said = "\n".join(lines[-_TAIL:])
    named = [text for text in asked.own if _mentioned(text, "\n".join(lines))]
    culprit = named[0] if len(named) == 1 or (named and len(asked.own) == 1) else ""
    index = asked.own.index(culprit) if culprit else None
    what = f"`{culprit}`" if culprit else ", ".join(f"`{text}`" for text in named or asked.own)
    return EnvironmentFailed(
        f"no environment can be built with {what}",
        f"{tool} said:\n{said}",
        loc=("environment", "requirements", *(() if index is None else (index,))),
    )


def _mentioned(requirement: str, text: str) -> bool:
    try:
        name = Requirement(requirement).name
    except InvalidRequirement:
        name = Path(requirement).name
    pattern = re.sub(r"[-_.]+", "[-_.]+", re.escape(name).replace(r"\-", "-").replace(r"\.", "."))
    return bool(re.search(rf"(?<![\w-]){pattern}(?![\w-])", text, re.IGNORECASE))
