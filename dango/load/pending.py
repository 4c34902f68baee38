"""What waits in one of dlt's working folders: packages that were extracted and are not loaded yet."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MOST_READ = 64 * 1024**2
_WAITING = ("new_jobs", "started_jobs")


@dataclass(frozen=True, slots=True)
class Pending:
    """How much waits. `rows` is None where counting would take long, or a file is of another kind than dlt's usual."""

    packages: int
    rows: int | None
    bytes: int

    def __str__(self) -> str:
        packages = "1 package" if self.packages == 1 else f"{self.packages} packages"
        rows = "" if self.rows is None else f", {self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        return f"{packages}{rows}, {size_text(self.bytes)}"


def pending(folder: Path) -> Pending:
    """What waits in a working folder: packages that are extracted, or normalised, and not loaded.

    A row with nested ones counts once until it is normalised, and then each of them counts too.
    """
    packages = {path.name: path for path in folder.glob("*/normalize/extracted/*")}
    # What is normalised may still stand among what is extracted.
    packages |= {path.name: path for path in folder.glob("*/load/normalized/*")}
    files = [file for path in packages.values() for jobs in _WAITING for file in path.glob(f"{jobs}/*")]
    total = sum(map(size, files))
    rows = _total(file for file in files if not file.name.startswith("_dlt")) if total <= _MOST_READ else None
    return Pending(len(packages), rows, total)


def unfinished(folder: Path) -> list[Path]:
    """Packages that an extract or a normalise began and never finished. dlt begins anew and leaves them there."""
    extracts = [path for path in folder.glob("*/normalize/*") if path.is_dir() and path.name != "extracted"]
    waiting = {path.name for path in folder.glob("*/normalize/extracted/*")}
    # Of what is extracted and waits, normalising it takes its place.
    return [*extracts, *(path for path in folder.glob("*/load/new/*") if path.name not in waiting)]


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files or [path]:
        with suppress(OSError):
            total += file.lstat().st_size if not file.is_dir() else 0
    return total


def size_text(count: int) -> str:
    """Bytes as people read them: `12 KiB`."""
    amount, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"


def _total(files: Iterable[Path]) -> int | None:
    try:
        return sum(map(_rows, files))
    except (OSError, EOFError, ValueError, zlib.error):
        # Half written, or of a format that is not counted here: it waits all the same.
        return None


def _rows(file: Path) -> int:
    """The rows of a job's file, `table.id.retry.format`. Raises `ValueError` where it is of no known format."""
    form = file.name.removesuffix(".gz").rpartition(".")[2]
    match form:
        case "parquet":
            from pyarrow.parquet import ParquetFile

            return int(ParquetFile(file).metadata.num_rows)
        case "typed-jsonl":
            return sum(len(json.loads(line)) for line in _lines(file))
        case "jsonl":
            return sum(1 for _ in _lines(file))
        case "insert_values":
            return sum(line.startswith(b"(") for line in _lines(file))
        case "reference" | "sql":
            return 0
    raise ValueError(form)


def _lines(file: Path) -> Iterator[bytes]:
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        yield from lines
