"""Files that a load package refers to and does not hold: DuckDB reads them where they are, once, when they are loaded.

In the package a Parquet file stands for such a file. It has the columns of the table, so that dlt takes it in as it
is, no rows, and says how the file is read. What it promises (columns and types) is known of all Parquet,
and of other files by their first rows. Where it turns out wrong, or the file has changed meanwhile, nothing is loaded:
the source is extracted anew, and then writes what it reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dango.duckdb_text import literal

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = b"dango.external"
_SMALLEST = 8 << 20
"""Bytes of a file that is worth it; many small ones would make long statements."""


class Mistaken(Exception):
    """A file is not, or no longer, what a package says of it."""


@dataclass(frozen=True, slots=True)
class External:
    """A file that is read when it is loaded.

    Attributes:
        file: its path.
        size: in bytes, when it was looked at.
        changed: its time of change then, in nanoseconds.
        select: DuckDB's statement that gives its rows, with the columns of the table that it fills; an error where a
            value is not what it should be. In it, times without a zone are of the session's.
    """

    file: str
    size: int
    changed: int
    select: str

    def require_unchanged(self) -> None:
        """Raises `Mistaken` where the file is another by now."""
        try:
            found = Path(self.file).stat()
        except OSError as error:
            raise Mistaken(f"{self.file} cannot be read any more: {error.strerror}") from error
        if (found.st_size, found.st_mtime_ns) != (self.size, self.changed):
            raise Mistaken(f"{self.file} has changed since it was looked at")


# Of the process, as dlt's threads inherit no context. A process syncs one source.
_allowed: list[int] = []


@contextmanager
def allowed() -> Iterator[None]:
    """While the block lasts, files may be referred to: who loads them knows how, and can extract them again."""
    _allowed.append(os.getpid())
    try:
        yield
    finally:
        _allowed.pop()


def worthwhile(file: Path) -> bool:
    """Whether a file may be referred to, is large enough, and has a name that DuckDB takes for no pattern."""
    if any(sign in str(file) for sign in "*?["):
        return False
    return bool(_allowed) and _allowed[-1] == os.getpid() and file.stat().st_size >= _SMALLEST


def looked_at(file: Path, select: str) -> External:
    """A file as it is now."""
    found = file.stat()
    return External(str(file), found.st_size, found.st_mtime_ns, select)


def write(path: Path, schema: pa.Schema, external: External) -> None:
    """Writes the Parquet file that stands for another.

    Args:
        path: where.
        schema: the columns of the table, in its order.
        external: what it stands for.
    """
    from pyarrow import parquet

    said = schema.with_metadata({_KEY: json.dumps(asdict(external)).encode()})
    parquet.write_table(said.empty_table(), path)


def read(path: Path) -> External | None:
    """What a package's Parquet file stands for; None where it stands for itself."""
    from pyarrow import parquet

    said = (parquet.read_schema(path).metadata or {}).get(_KEY)
    return None if said is None else External(**json.loads(said))


def parted(paths: Iterable[Path]) -> tuple[list[Path], list[External]]:
    """Files that hold rows themselves, and what others stand for."""
    held: list[Path] = []
    referred: list[External] = []
    for path in paths:
        external = read(path)
        if external is None:
            held.append(path)
        else:
            referred.append(external)
    return held, referred


def relation(paths: Sequence[Path]) -> str:
    """Parquet files of a package, and what they stand for, as what may follow FROM in DuckDB.

    They may differ in their columns.
    """
    held, referred = parted(paths)
    literals = ", ".join(literal(str(path)) for path in held)
    selects = [f"SELECT * FROM read_parquet([{literals}], union_by_name = true)"] if held else []
    selects += [external.select for external in referred]
    return f"({' UNION ALL BY NAME '.join(selects)})"
