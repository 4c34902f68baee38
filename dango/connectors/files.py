"""Files: CSV, JSON Lines, JSON, Parquet and Excel from the disk, S3, GCS, Azure, SFTP or HTTP.

A sync reads only files that are new or changed. Each row carries its file's address in `_file`, by which the rows of
a changed file take the place of its earlier ones; the rows of a file that is gone stay.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import dlt
from dlt.sources import DltResource

from dango import paths
from dango.columnar import hooks
from dango.connectors import jsonl_documents, parquet_columns
from dango.connectors.csv_columns import Texts
from dango.connectors.file_formats import FORMATS, Broken, Format, Options, kind_of, pages, written
from dango.connectors.file_tables import Irregular, Table
from dango.connectors.storages import Found, Place, at_hand, digest, given, require_encoding
from dango.dlt_internals import files as dlt_files
from dango.errors import SourceError
from dango.probe import Inspection

FILE = "_file"
EMPTIED = "_emptied"
WAYS = "ways"
COLUMNS, DOCUMENTS = "", "documents"
"""The ways that a file is read by; another is row by row, for the reason that it is called by."""


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
        SourceError: when there is no such encoding, no file, or one that cannot be read; it says which, and where it
            can the line.
        MissingPackage: when the storage or the format needs one.
    """
    require_encoding(encoding)
    place = Place(location, given(options or {}))
    reading = Options(delimiter, header, sheet, select)
    return dlt.resource(
        _rows, name=table, write_disposition={"disposition": "merge", "strategy": "delete-insert"}, merge_key=FILE
    )(place, format, encoding, reading)


def _rows(place: Place, format: str, encoding: str, reading: Options) -> Iterator[Any]:  # noqa: A002 - as `files`
    known: dict[str, str] = dlt.current.resource_state().setdefault("files", {})
    resource = dlt.current.resource()
    # Before there is anything of ours among them.
    target = _Target(resource, {*dlt_files.hinted(resource)} if dlt_files.extracting() else set())
    # A table that is written anew wants all files, a changed one or not.
    anew = resource.write_disposition == "replace"
    met: set[str] = set()
    found = list(place.listed())
    system, path = place.opened()
    # A folder whose files were taken away after their sync is no mistake; one that never held any is.
    if not found and not any(name.startswith(re.split(r"[*?[]", path)[0]) for name in known):
        raise SourceError(f"no file is at {place.location}", "patterns are written `data/*.csv`, `data/**/*.csv`")
    for file in found:
        if not anew and file.sign is not None and known.get(file.path) == file.sign:
            continue
        kind = _kind(file, format)
        with at_hand(system, file, encoding if kind in ("csv", "json", "jsonl") else None) as plain:
            sign = file.sign or digest(plain.read_bytes())
            if not anew and known.get(file.path) == sign:
                continue
            if kind == "csv":
                reading = replace(reading, texts=Texts(_said(target, file), met))
            yield from _read(target, file, plain, kind, reading, changed=file.path in known)
        known[file.path] = sign


def _kind(file: Found, format: str) -> Format:  # noqa: A002 - as `files`
    kind = kind_of(file.path) if format == "auto" else format
    if kind is None:
        raise SourceError(
            f"{file.address}: its ending does not tell a format", f"say `format:`; endings: {' '.join(FORMATS)}"
        )
    return kind  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class _Target:
    """What files are read for: the resource, and the columns of which the user says something."""

    resource: DltResource
    hinted: Collection[str]

    def table(self, file: Found) -> Table:
        """The table as it is before a file. Raises `Irregular` where there is none."""
        if not dlt_files.extracting():
            raise Irregular("nothing of it is loaded")
        return Table(self.resource, {FILE: file.address}, self.hinted)


def _read(target: _Target, file: Found, plain: Path, kind: Format, reading: Options, *, changed: bool) -> Iterator[Any]:
    """Reads a file in the first way that takes it: the quickest come first."""
    resource = target.resource
    ways, why = resource.custom_metrics.setdefault(WAYS, {}), ""
    try:
        for name, take in ((COLUMNS, _columns), (DOCUMENTS, _documents)):
            try:
                rows, way = (yield from take(target, file, plain, kind, reading)), name
                break
            except Irregular as irregular:
                why = str(irregular) or why
        else:
            rows, way = (yield from _row_by_row(target, file, plain, kind, reading)), why
    except Broken as error:
        raise SourceError(f"{file.address}: {error.message}", error.hint or "nothing of this sync is loaded") from error
    if rows:
        ways[way] = ways.get(way, 0) + 1
        slowly = next((way for way in ways if way not in (COLUMNS, DOCUMENTS)), "")
        if slowly or COLUMNS in ways:
            paths.note(str(resource.name), "rows" if slowly else "columns", slowly)
    if not rows and changed:
        # What it held before goes: a row that says so, and is not loaded itself.
        dlt_files.let_ids_be_missing(dlt_files.table_of(resource))
        hints = dlt.mark.make_hints(columns={EMPTIED: {"data_type": "bool", "hard_delete": True}})
        yield dlt.mark.with_hints({FILE: file.address, EMPTIED: True}, hints)


def _columns(target: _Target, file: Found, plain: Path, kind: Format, reading: Options) -> Generator[Any, None, int]:
    """Takes a file in by its columns. Raises `Irregular` before anything is taken in."""
    if any(target.resource.custom_metrics[WAYS]):
        raise Irregular("an earlier file was read row by row")
    table = target.table(file)
    table.require_plain()
    with tempfile.TemporaryDirectory(prefix="columns-", dir=dlt_files.room()) as folder:
        path = Path(folder) / "rows.parquet"
        schema, rows = written(plain, kind, reading, table, path, lasting=str(plain) == file.path)
        if rows:
            yield dlt_files.imported(path, schema, rows)
    return rows


def _documents(target: _Target, file: Found, plain: Path, kind: Format, reading: Options) -> Generator[Any, None, int]:
    """Takes a file in as documents that dlt's extraction need not make. Raises `Irregular` before any is taken in,
    which says nothing where no file of its format could be."""
    # From here on dicts come, which have row ids, and the table may have rows without.
    dlt_files.let_ids_be_missing(dlt_files.table_of(target.resource))
    if kind != "jsonl" or not hooks.are_on():
        raise Irregular
    table = target.table(file)
    table.require_untouched()
    with tempfile.TemporaryDirectory(prefix="documents-", dir=dlt_files.room()) as folder:
        path = Path(folder) / "documents"
        rows = jsonl_documents.write(plain, {FILE: file.address}, path)
        yield dlt_files.documents(path, rows, table.decimals(table.undecided))
    return rows


def _row_by_row(target: _Target, file: Found, plain: Path, kind: Format, reading: Options) -> Generator[Any, None, int]:
    rows, columns = 0, {}
    if dlt_files.extracting():
        table = target.table(file)
        columns = table.decimals(parquet_columns.digits_of(plain) if kind == "parquet" else table.undecided)
    for page in pages(plain, kind, reading):
        found = [{**row, FILE: file.address} for row in page]
        yield dlt.mark.with_hints(found, dlt.mark.make_hints(columns=columns)) if columns and not rows else found
        rows += len(page)
    return rows


def _said(target: _Target, file: Found) -> Callable[[str], str | None]:
    """What tells the type in the table of a file's column, where it has one."""
    if dlt_files.extracting():
        return target.table(file).said
    hinted = target.resource.columns if isinstance(target.resource.columns, dict) else {}
    return lambda name: hinted.get(name, {}).get("data_type")


def ways(resource: DltResource) -> Mapping[str, int]:
    """How many files of a resource that has been extracted were read row by row, by the reasons; those under an empty
    reason were taken in by their columns, those under `documents` as nested documents, which is quick, too."""
    return dict(resource.custom_metrics.get(WAYS, {}))


def inspect(location: str, options: Mapping[str, Any] | None = None, **_: Any) -> Inspection:
    """Lists a place, and reads no file. Raises `SourceError` and `MissingPackage`."""
    place = Place(location, given(options or {}))
    found = list(place.listed())
    size = sum(file.size for file in found)
    return Inspection(
        server=f"{len(found)} file{'s' if len(found) != 1 else ''}, {size:,} bytes",
        problems=() if found else (f"no file is at {location}",),
    )
