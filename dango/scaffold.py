"""A template folder and values become files. Nothing is ever overwritten unless that is said."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal

from dango.config.schema import json_schema
from dango.errors import DangoError, UsageError, near
from dango.files import require_inside
from dango.resources import shipped

_PRIVATE = {".dlt/secrets.toml", ".env"}
_KEPT = {*_PRIVATE, "conftest.py", "custom_sources/README.md"}
SCHEMA_FILE = ".dango/sources.schema.json"

State = Literal["new", "same", "changed", "kept"]


@dataclass(frozen=True, slots=True)
class File:
    """One file of a scaffold: what it would hold, and how that compares with what is there."""

    path: Path
    text: str
    state: State


def plan(folder: Path, destination: str, example: bool) -> list[File]:
    """The files of a new project.

    Args:
        folder: where the project is to be.
        destination: `duckdb`, or a type of dlt's destinations.
        example: whether the runnable example comes with it.

    Raises:
        UsageError: when the folder is a file, a file is a folder, a link leads out of the project, or the destination
            cannot be one.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; a project is a folder")
    if not re.fullmatch(r"[A-Za-z_][\w.]*(:\w+)?", destination):
        raise UsageError(
            f"`{destination}` is no destination", "one of dlt's (duckdb, postgres, snowflake …) or `module:function`"
        )
    known = _shipped_destinations()
    if ":" not in destination and known and destination not in known:
        raise UsageError(
            f"dlt has no destination `{destination}`{near(destination, known)}", f"it has: {', '.join(known)}"
        )
    template = shipped("templates") / "project"
    values = _values(destination, example)
    files = []
    for source in sorted(path for path in template.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        name = source.relative_to(template).as_posix().removesuffix(".tmpl")
        if name.startswith("samples/") and not example:
            continue
        text = source.read_text(encoding="utf-8")
        text = Template(text).substitute(values) if source.suffix == ".tmpl" else text
        files.append(compared(folder, name, text))
    files.append(compared(folder, SCHEMA_FILE, json.dumps(json_schema(), indent=1) + "\n"))
    return files


def _shipped_destinations() -> list[str]:
    """The destinations of the dlt that is installed, read from its folder: importing it takes a second."""
    found = importlib.util.find_spec("dlt")
    folder = Path(found.origin).parent / "destinations" / "impl" if found and found.origin else Path()
    return sorted(path.parent.name for path in folder.glob("*/__init__.py"))


def write(files: Iterable[File], *, force: bool = False, command: str = "dango init") -> list[File]:
    """Writes what is new, and with `force` what differs. Returns what was written.

    `command` is what is typed again, with `--force`.

    Raises:
        UsageError: when a file differs and `force` is not given; nothing is written then.
        DangoError: when the folder cannot be written.
    """
    files = list(files)
    changed = [file for file in files if file.state == "changed"]
    if changed and not force:
        names = "\n".join(f"  {file.path}" for file in changed)
        raise UsageError(
            f"these files are there and would change:\n{names}",
            f"nothing was written; `{command} --force` overwrites them",
        )
    written = [file for file in files if file.state in ("new", "changed")]
    for file in written:
        try:
            _write(file)
        except OSError as error:
            raise DangoError(f"{file.path} cannot be written: {error.strerror}") from error
    return written


def _write(file: File) -> None:
    private = file.path.as_posix().endswith(tuple(f"/{name}" for name in _PRIVATE))
    inner = file.path.parent.name == ".dango"
    file.path.parent.mkdir(mode=0o700 if inner else 0o777, parents=True, exist_ok=True)
    handle = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        out.write(file.text)
    if private:
        file.path.chmod(0o600)


def compared(folder: Path, name: str, text: str) -> File:
    """A file in a folder, compared with what is there. Raises `UsageError` where it cannot be one."""
    path = folder / name
    require_inside(path, folder)
    if not path.exists():
        return File(path, text, "new")
    if path.is_dir():
        raise UsageError(f"{path} is a folder, and a file is to stand there")
    # Not `read_text`: whatever line ends and bytes are kept (of a .gitignore) stay as they are.
    present = path.read_bytes().decode("utf-8", "surrogateescape")
    if present == text:
        return File(path, text, "same")
    if name in _KEPT:
        # What a person put there is never replaced, also not with --force.
        return File(path, present, "kept")
    if name == ".gitignore":
        return _joined(path, present, text)
    return File(path, text, "changed")


def _joined(path: Path, present: str, text: str) -> File:
    """An existing .gitignore keeps its lines and gains what keeps secrets and data out of git."""
    there = present.splitlines()
    missing = [line for line in text.splitlines() if line.strip() and line not in there and not line.startswith("#")]
    if not missing:
        return File(path, present, "same")
    # The last line that matches counts: what brings a file back has to stand behind what hides its folder.
    hides = any(not line.startswith("!") for line in missing)
    added = [
        line
        for line in text.splitlines()
        if line.startswith("#") or line in missing or (hides and line.startswith("!"))
    ]
    gap = "" if not present or present.endswith("\n") else "\n"
    return File(path, present + gap + "\n".join(added) + "\n", "new")


def _values(destination: str, example: bool) -> Mapping[str, str]:
    other = destination != "duckdb"
    destinations = f"destinations:\n  warehouse: {{type: {destination}}}\n" if other else ""
    lines: Sequence[str] = _EXAMPLE.splitlines() if example else ["sources: []"]
    credentials = f"[destination.warehouse.credentials]\n{_CREDENTIALS.get(destination, '')}" if other else ""
    return {
        "destination": "warehouse" if other else "duckdb",
        "destinations": destinations,
        "sources": "\n".join(lines),
        "credentials": credentials,
    }


_CREDENTIALS = {
    "postgres": '# host = "localhost"\n# port = 5432\n# database = "…"\n# username = "…"\n# password = "…"\n',
}

_EXAMPLE = """\
sources:
  # Measurements of 344 penguins, from samples/penguins.jsonl: any dlt source runs like this one.
  - name: penguins
    type: dlt_native
    description: Palmer penguins (CC0), a file that came with the project
    resources:
      read_jsonl: {table: penguins, write_disposition: merge, primary_key: [species, sample_number]}
    dlt_native:
      source_module: filesystem
      source_function: readers
      function_kwargs:
        bucket_url: samples
        file_glob: penguins.jsonl
        incremental: {cursor_path: modification_date}   # only files that changed since the last sync
"""
