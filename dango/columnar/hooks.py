"""Where frames get into dlt: the writer of extracted pages, the normalisers, and the writer of Parquet.

None of them is dlt's public API. They are replaced while a block lasts and act only for the block's own thread;
dlt's code does all that frames are not made for. Whoever meets a frame without them fails, rather than loads it.

Arrow is imported when the first page comes: a sync with nothing new does without.
"""

from __future__ import annotations

import contextvars
import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import dlt
from dlt.common import time as dlt_time
from dlt.common.data_writers.writers import DataWriter, ParquetDataWriter, TypedJsonlListWriter
from dlt.common.json import json
from dlt.common.normalizers.utils import DLT_ID_LENGTH_BYTES
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.normalize import worker

PROVEN = frozenset({"1.26.0", "1.31.0"})
"""The versions of dlt with which `make equality` has passed."""
_PATIENCE = 3
"""After so many pages of a file that were no frames, those to come are not asked any more."""
_RESTORING = ".restoring"
_IDS = ("_dlt_id", "_dlt_parent_id", "_dlt_root_id")
_BY_DLT = "snappy"
"""How dlt packs Parquet if it is told nothing."""
_ID_BYTES = 10
"""Of an id as `arrays` makes it."""


class Taken:
    """Which way the rows of each table went.

    Attributes:
        paths: by table, `columnar` or `rows`, and why it was by rows; one page by rows is enough for that.
    """

    def __init__(self) -> None:
        self.paths: dict[str, tuple[str, str]] = {}

    def note(self, table: str, why: str) -> None:
        """Takes the way of one page; `why` is empty where it went by columns."""
        if table.startswith("_dlt"):
            return
        if why:
            self.paths.setdefault(table, ("rows", why))
            if self.paths[table][0] == "columnar":
                self.paths[table] = ("rows", why)
        else:
            self.paths.setdefault(table, ("columnar", ""))


_active: contextvars.ContextVar[Taken | None] = contextvars.ContextVar("columnar", default=None)


@contextmanager
def switched_on(enabled: bool, working_dir: Path) -> Iterator[Taken]:
    """While the block lasts, what dlt extracts and normalises in this thread goes by columns where it can.

    Where it is not enabled, or this dlt is not proven, nothing is replaced; and frames that an earlier run has left
    become documents again.

    Args:
        enabled: whether it is wanted.
        working_dir: of the pipeline.

    Yields:
        which way each table went.
    """
    taken = Taken()
    if not (enabled and _able()):
        restore(working_dir)
        yield taken
        return
    before = _active.set(taken)
    try:
        with _HOOKS:
            yield taken
    finally:
        _active.reset(before)


def are_on() -> bool:
    """Whether this thread is in such a block, where frames may be extracted."""
    return _active.get() is not None


def _able() -> bool:
    zone: Callable[[], str] = getattr(dlt_time, "get_context_timezone_name", lambda: "UTC")
    return (
        dlt.__version__ in PROVEN
        and dlt.config.get("dango.columnar", bool) is not False
        and getattr(json, "_impl_name", "") == "orjson"
        and _ID_BYTES == DLT_ID_LENGTH_BYTES
        and zone() == "UTC"
        # Other processes than this one have dlt's own code.
        and (dlt.config.get("normalize.workers", int) or 1) == 1
    )


# --- what is replaced ---------------------------------------------------------------------------------


class _Hooks:
    """The replacements, there as long as any thread needs them."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._users = 0
        self._undo = ExitStack()

    def __enter__(self) -> None:
        with self._turn:
            if not self._users:
                self._replace(TypedJsonlListWriter, "write_data", _write_page)
                self._replace(ParquetDataWriter, "_create_writer", _parquet_writer)
                self._replace(ParquetDataWriter, "write_data", _write_parquet)
                self._replace(worker, "JsonLItemsNormalizer", _normalizer)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._users -= 1
            if not self._users:
                self._undo.close()

    def _replace(self, owner: Any, name: str, made: Callable[[Any], Any]) -> None:
        own = getattr(owner, name)
        setattr(owner, name, made(own))
        self._undo.callback(setattr, owner, name, own)


_HOOKS = _Hooks()


def _write_page(own: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def write_data(self: Any, items: Any) -> None:
        line = _line(self, items)
        if line is None:
            own(self, items)
            return
        DataWriter.write_data(self, items)
        self._f.write(line)

    return write_data


def _line(writer: Any, items: Any) -> bytes | None:
    """A page as a frame; None where it cannot be one, or the pages before it could not."""
    taken = _active.get()
    failed: int = getattr(writer, "dango_unfit", 0)
    if taken is None or failed >= _PATIENCE or not len(items):
        return None
    from dango.columnar.frames import Frame, Unfit

    try:
        line = Frame.of(items).line()
    except Unfit as why:
        writer.dango_unfit = failed + 1
        taken.note(ParsedLoadJobFileName.parse(Path(writer._f.name).name).table_name, str(why))
        return None
    writer.dango_unfit = 0
    return line


def _parquet_writer(own: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def made(self: Any, schema: Any) -> Any:
        if _active.get() is None:
            return own(self, schema)
        from pyarrow.parquet import ParquetWriter

        said = self.parquet_format
        packed = getattr(said, "compression", _BY_DLT)
        return ParquetWriter(
            self._f,
            schema,
            flavor=said.flavor,
            version=said.version,
            data_page_size=said.data_page_size,
            coerce_timestamps=said.coerce_timestamps,
            allow_truncated_timestamps=said.allow_truncated_timestamps,
            use_compliant_nested_type=said.use_compliant_nested_type,
            # What is read once, and soon, is not worth packing.
            compression="none" if packed == _BY_DLT else packed,
            use_dictionary=[field.name for field in schema if _repeats(field)],
            write_statistics=False,
        )

    return made


def _repeats(field: Any) -> bool:
    """Whether a dictionary of a column's values is worth its time: numbers and ids are written in less of it."""
    import pyarrow.types as kinds

    tests = (kinds.is_string, kinds.is_large_string, kinds.is_date, kinds.is_dictionary)
    return field.name not in _IDS and any(test(field.type) for test in tests)


def _write_parquet(own: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def write_data(self: Any, items: Any) -> None:
        import pyarrow as pa

        from dango.columnar.arrays import aligned

        for columnar, group in groupby(items, key=lambda item: isinstance(item, pa.Table)):
            if not columnar:
                own(self, list(group))
                continue
            table = pa.concat_tables([aligned(item, self.schema) for item in group])
            self.items_count += len(table)
            self.writer.write_table(table, row_group_size=self.parquet_format.row_group_size)

    return write_data


def _normalizer(own: Callable[..., Any]) -> Callable[..., Any]:
    def made(*args: Any, **kwargs: Any) -> Any:
        from dango.columnar.normalizer import ColumnarNormalizer

        taken = _active.get()
        return own(*args, **kwargs) if taken is None else ColumnarNormalizer(taken.note, *args, **kwargs)

    return made


# --- frames that nobody will read ---------------------------------------------------------------------


def restore(working_dir: Path) -> None:
    """Makes the frames among a pipeline's extracted files into the documents that they were made of."""
    from dango.columnar.frames import restored

    for path in sorted((working_dir / "normalize" / "extracted").glob("*/new_jobs/*.typed-jsonl*")):
        if _has_frames(path):
            # Not beside it: all that stands there is a job. A file is there as it was, or whole.
            temporary = working_dir / _RESTORING
            with _opened(path)(path, "rb") as file, _opened(path)(temporary, "wb") as made:
                made.writelines(restored(file, json.typed_dumpb))
            temporary.replace(path)


def _has_frames(path: Path) -> bool:
    from dango.columnar.frames import is_line

    with _opened(path)(path, "rb") as file:
        return any(map(is_line, file))


def _opened(path: Path) -> Any:
    return gzip.open if path.suffix == ".gz" else open
