"""Files: CSV, JSON Lines, JSON, Parquet and Excel from the disk, S3, GCS, Azure, SFTP or HTTP.

A sync reads only files that are new or changed. Each row carries its file's address in `_file`, by which the rows of
a changed file take the place of its earlier ones; the rows of a file that is gone stay.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import dlt
from dlt.sources import DltResource
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.utils import infer_compression

from dango import paths
from dango.columnar import hooks
from dango.connectors import jsonl_documents
from dango.connectors.file_formats import FORMATS, Broken, Format, Options, pages, written
from dango.connectors.file_tables import Irregular, Table
from dango.connectors.places import local
from dango.dlt_internals import files as dlt_files
from dango.errors import MissingPackage, SourceError
from dango.probe import Inspection

FILE = "_file"
EMPTIED = "_emptied"
WAYS = "ways"
DOCUMENTS = "documents"
_PACKAGES = {
    "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "sftp": "paramiko", "ssh": "paramiko", "http": "aiohttp", "https": "aiohttp",
}  # fmt: skip
# What storages say of a file's state; whatever of it is there and differs, the file has changed.
_SIGNS = (
    "ETag", "etag", "generation", "md5Hash", "content_md5", "Content-MD5", "Digest", "Last-Modified", "LastModified",
    "last_modified", "updated", "mtime", "size",
)  # fmt: skip
_KEY_FILES = ("token", "key_filename")


@dataclass(frozen=True, slots=True)
class Found:
    """A file: its address as people write it, its path for the file system, and what tells its state."""

    address: str
    path: str
    sign: str | None
    """None where the storage says nothing by which a change would show."""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are: a path, URL or pattern, and what the storage wants to know."""

    location: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def scheme(self) -> str:
        """The part before `://`; `file` where there is none."""
        return self.location.partition("://")[0].lower() if "://" in self.location else "file"

    def opened(self) -> tuple[AbstractFileSystem, str]:
        """The file system and the path or pattern in it.

        Raises:
            MissingPackage: when fsspec needs a package for this storage.
            SourceError: when the storage is unknown, or a host that is not the one that is known.
        """
        written = self.location if self.scheme != "file" else str(local(self.location.removeprefix("file://")))
        try:
            if self.scheme in ("sftp", "ssh"):
                from dango.connectors import sftp

                sftp.use()
            system, path = url_to_fs(written, **self.options)
        except ImportError as error:
            package = _PACKAGES.get(self.scheme, self.scheme)
            raise MissingPackage(
                f"`{self.scheme}://` needs the package `{package}`", f"pip install {package}"
            ) from error
        except ValueError as error:
            if self.scheme in _PACKAGES:
                raise
            raise SourceError(f"`{self.scheme}://` is no storage that is known", str(error)) from error
        return system, str(path)

    def listed(self) -> Iterator[Found]:
        """The files, by name. Raises `SourceError` where the place cannot be read."""
        system, path = self.opened()
        try:
            entries = self._entries(system, path)
        except OSError as error:
            raise SourceError(f"{self.location}: {_said(error)}") from error
        for name, info in sorted(entries.items()):
            if info.get("type") == "file":
                yield Found(self._address(system, name), name, _sign(info), info.get("size") or 0)

    def _entries(self, system: AbstractFileSystem, path: str) -> dict[str, Any]:
        if "*" in path or (self.scheme not in ("http", "https") and any(sign in path for sign in "?[")):
            return {name: self._complete(system, name, info) for name, info in system.glob(path, detail=True).items()}
        if self.scheme not in ("http", "https") and system.isdir(path):
            return {
                name: info
                for name, info in system.find(path, detail=True).items()
                if kind_of(name) is not None and not PurePosixPath(name).name.startswith(".")
            }
        return {path: {**system.info(path), "type": "file"}}

    def _complete(self, system: AbstractFileSystem, name: str, info: dict[str, Any]) -> dict[str, Any]:
        """Of a page of links no more is known than where they lead."""
        return {**info, **system.info(name)} if self.scheme in ("http", "https") and info["type"] == "file" else info

    def _address(self, system: AbstractFileSystem, name: str) -> str:
        if self.scheme != "file":
            return str(system.unstrip_protocol(name))
        root = local("")
        return Path(name).relative_to(root).as_posix() if Path(name).is_relative_to(root) else name


def _sign(info: Mapping[str, Any]) -> str | None:
    said = [f"{key}={info[key]}" for key in _SIGNS if info.get(key) is not None]
    # A size alone stays the same when a digit changes.
    return _short(" ".join(said).encode()) if any(not text.startswith("size") for text in said) else None


def _said(error: BaseException) -> str:
    """Some say only by their type what is wrong."""
    return str(getattr(error, "strerror", None) or "") or str(error) or type(error).__name__


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def kind_of(name: str) -> Format | None:
    """The format that a name's ending tells, whatever it is compressed with."""
    path = PurePosixPath(name.partition("?")[0])
    return FORMATS.get((path.with_suffix("") if infer_compression(path.name) else path).suffix.lower())


def files(
    location: str,
    table: str = "files",
    format: Literal["auto", "csv", "jsonl", "json", "parquet", "excel"] = "auto",  # noqa: A002 - the field's word
    delimiter: str | None = None,
    encoding: str = "utf-8",
    header: bool = True,
    sheet: str | None = None,
    select: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> DltResource:
    """A resource with the rows of all files at a place.

    Args:
        location: a path, folder, URL or pattern (`data/**/*.csv`); what is relative begins in the project.
        table: the resource's and the table's name.
        format: of all files; by each one's ending where it is `auto`. Compressed files are unpacked.
        delimiter: of CSV; found where it is not given.
        encoding: of text files.
        header: whether the first row of CSV and Excel has the names.
        sheet: of Excel workbooks; the first where it is not given.
        select: the dotted path to the rows in a JSON document.
        options: what fsspec takes for the storage: keys, hosts, tokens.

    Raises:
        SourceError: when there is no file, or one cannot be read; it says which, and where it can the line.
        MissingPackage: when the storage or the format needs one.
    """
    place = Place(location, _given(options or {}))
    reading = Options(delimiter, header, sheet, select)
    return dlt.resource(
        _rows, name=table, write_disposition={"disposition": "merge", "strategy": "delete-insert"}, merge_key=FILE
    )(place, format, encoding, reading)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without groups of which nothing is given, and key files where they are."""
    given = {key: _given(value) if isinstance(value, Mapping) else value for key, value in options.items()}
    keys = {key: str(local(str(given[key]))) for key in _KEY_FILES if key in given}
    files = {key: path for key, path in keys.items() if Path(path).is_file()}
    return {key: value for key, value in {**given, **files}.items() if value != {}}


def _rows(place: Place, format: str, encoding: str, reading: Options) -> Iterator[Any]:  # noqa: A002 - as `files`
    known: dict[str, str] = dlt.current.resource_state().setdefault("files", {})
    resource = dlt.current.resource()
    # A table that is written anew wants all files, a changed one or not.
    anew = resource.write_disposition == "replace"
    hinted = resource.columns if isinstance(resource.columns, dict) else {}
    text = {name for name, hints in hinted.items() if hints.get("data_type") == "text"}
    reading = Options(reading.delimiter, reading.header, reading.sheet, reading.select, text)
    found = list(place.listed())
    system, path = place.opened()
    # A folder whose files were taken away after their sync is no mistake; one that never held any is.
    if not found and not any(name.startswith(re.split(r"[*?[]", path)[0]) for name in known):
        raise SourceError(f"no file is at {place.location}", "patterns are written `data/*.csv`, `data/**/*.csv`")
    for file in found:
        if not anew and file.sign is not None and known.get(file.path) == file.sign:
            continue
        kind = _kind(file, format)
        with _at_hand(system, file, encoding if kind in ("csv", "json", "jsonl") else None) as plain:
            sign = file.sign or _short(plain.read_bytes())
            if not anew and known.get(file.path) == sign:
                continue
            yield from _read(resource, file, plain, kind, reading, changed=file.path in known)
        known[file.path] = sign


def _kind(file: Found, format: str) -> Format:  # noqa: A002 - as `files`
    kind = kind_of(file.path) if format == "auto" else format
    if kind is None:
        raise SourceError(
            f"{file.address}: its ending does not tell a format", f"say `format:`; endings: {' '.join(FORMATS)}"
        )
    return kind  # type: ignore[return-value]


def _read(
    resource: DltResource, file: Found, plain: Path, kind: Format, reading: Options, *, changed: bool
) -> Iterator[Any]:
    ways = resource.custom_metrics.setdefault(WAYS, {})
    try:
        try:
            if any(ways):
                raise Irregular("an earlier file was read row by row")
            rows = yield from _columns(_table(resource, file), file, plain, kind, reading)
            way = ""
        except Irregular as irregular:
            dlt_files.let_ids_be_missing(dlt_files.table_of(resource))
            try:
                rows = yield from _documents(_table(resource, file), file, plain, kind)
                way = DOCUMENTS
            except Irregular as nested:
                way = str(nested) or str(irregular)
                rows = yield from _row_by_row(file, plain, kind, reading)
    except Broken as error:
        raise SourceError(f"{file.address}: {error.message}", error.hint or "nothing of this sync is loaded") from error
    if rows:
        ways[way] = ways.get(way, 0) + 1
        slowly = next((way for way in ways if way not in ("", DOCUMENTS)), "")
        if slowly or "" in ways:
            paths.note(str(resource.name), "rows" if slowly else "columns", slowly)
    if not rows and changed:
        # What it held before goes: a row that says so, and is not loaded itself.
        dlt_files.let_ids_be_missing(dlt_files.table_of(resource))
        hints = dlt.mark.make_hints(columns={EMPTIED: {"data_type": "bool", "hard_delete": True}})
        yield dlt.mark.with_hints({FILE: file.address, EMPTIED: True}, hints)


def _table(resource: DltResource, file: Found) -> Table:
    """Raises `Irregular` where there is none."""
    if not dlt_files.extracting():
        raise Irregular("nothing of it is loaded")
    return Table(resource, {FILE: file.address})


def _columns(table: Table, file: Found, plain: Path, kind: Format, reading: Options) -> Generator[Any, None, int]:
    """Takes a file in by its columns. Raises `Irregular` before anything is taken in."""
    table.require_plain()
    with tempfile.TemporaryDirectory(prefix="columns-", dir=dlt_files.room()) as folder:
        path = Path(folder) / "rows.parquet"
        schema, rows = written(plain, kind, reading, table, path, lasting=str(plain) == file.path)
        if rows:
            yield dlt_files.imported(path, schema, rows)
    return rows


def _documents(table: Table, file: Found, plain: Path, kind: Format) -> Generator[Any, None, int]:
    """Takes a file in as documents that dlt's extraction need not make. Raises `Irregular` before any is taken in,
    which says nothing where no file of its format could be."""
    if kind != "jsonl" or not hooks.are_on():
        raise Irregular
    table.require_untouched()
    with tempfile.TemporaryDirectory(prefix="documents-", dir=dlt_files.room()) as folder:
        path = Path(folder) / "documents"
        rows = jsonl_documents.write(plain, {FILE: file.address}, path)
        yield dlt_files.documents(path, rows)
    return rows


def _row_by_row(file: Found, plain: Path, kind: Format, reading: Options) -> Generator[Any, None, int]:
    rows = 0
    for page in pages(plain, kind, reading):
        rows += len(page)
        yield [{**row, FILE: file.address} for row in page]
    return rows


def ways(resource: DltResource) -> Mapping[str, int]:
    """How many files of a resource that has been extracted were read row by row, by the reasons; those under an empty
    reason were taken in by their columns, those under `documents` as nested documents, which is quick, too."""
    return dict(resource.custom_metrics.get(WAYS, {}))


@contextmanager
def _at_hand(system: AbstractFileSystem, file: Found, encoding: str | None) -> Iterator[Path]:
    """The file on this disk, unpacked and in UTF-8."""
    packed = infer_compression(file.path.partition("?")[0])
    foreign = encoding is not None and codecs.lookup(encoding).name not in ("utf-8", "ascii")
    if "file" in _protocols(system) and not packed and not foreign:
        yield Path(file.path)
        return
    with tempfile.TemporaryDirectory(prefix="dango-files-") as folder:
        plain = Path(folder) / "file"
        try:
            with system.open(file.path, "rb", compression=packed) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            if foreign:
                plain = _in_utf8(plain, str(encoding))
        except UnicodeDecodeError as error:
            raise SourceError(f"{file.address}: it is not in {encoding}: {error.reason}", "say `encoding:`") from error
        except (OSError, EOFError) as error:
            raise SourceError(f"{file.address}: {_said(error)}") from error
        yield plain


def _in_utf8(file: Path, encoding: str) -> Path:
    other = file.with_name("utf8")
    with file.open(encoding=encoding, newline="") as source, other.open("w", encoding="utf-8", newline="") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return other


def _protocols(system: AbstractFileSystem) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def inspect(location: str, options: Mapping[str, Any] | None = None, **_: Any) -> Inspection:
    """Lists a place, and reads no file. Raises `SourceError` and `MissingPackage`."""
    place = Place(location, _given(options or {}))
    found = list(place.listed())
    size = sum(file.size for file in found)
    return Inspection(
        server=f"{len(found)} file{'s' if len(found) != 1 else ''}, {size:,} bytes",
        problems=() if found else (f"no file is at {location}",),
    )
