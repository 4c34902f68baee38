"""Files: CSV, JSON Lines, JSON, Parquet and Excel from the disk, S3, GCS, Azure, SFTP or HTTP.

A sync reads only files that are new or changed. Each row carries its file's address in `_file`, by which the rows of
a changed file take the place of its earlier ones; the rows of a file that is gone stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import dlt
from dlt.sources import DltResource

from dango.connectors.file_kinds import FORMATS, Format, kind_of
from dango.connectors.storages import Found, Place, at_hand, digest, given, require_encoding
from dango.errors import SourceError
from dango.probe import Inspection

if TYPE_CHECKING:
    from dango.connectors.file_reading import Reader

FILE = "_file"
"""The column with the address of the file from which a row is."""
LATER = ("dango.connectors.file_reading",)
"""What a sync of new files imports besides."""


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
    reading = {"delimiter": delimiter, "header": header, "sheet": sheet, "select": select}
    return dlt.resource(
        _rows, name=table, write_disposition={"disposition": "merge", "strategy": "delete-insert"}, merge_key=FILE
    )(place, format, encoding, reading)


def _rows(place: Place, format: str, encoding: str, reading: Mapping[str, Any]) -> Iterator[Any]:  # noqa: A002 - as `files`
    known: dict[str, str] = dlt.current.resource_state().setdefault("files", {})
    resource = dlt.current.resource()
    # A table that is written anew wants all files, a changed one or not.
    anew = resource.write_disposition == "replace"
    reader: Reader | None = None
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
            if reader is None:
                # Here, since it brings Arrow: a sync that finds nothing new does without.
                from dango.connectors.file_reading import Reader

                reader = Reader(resource, **reading)
            yield from reader.read(file, plain, kind, changed=file.path in known)
        known[file.path] = sign


def _kind(file: Found, format: str) -> Format:  # noqa: A002 - as `files`
    kind = kind_of(file.path) if format == "auto" else format
    if kind is None:
        raise SourceError(
            f"{file.address}: its ending does not tell a format", f"say `format:`; endings: {' '.join(FORMATS)}"
        )
    return kind  # type: ignore[return-value]


def inspect(location: str, options: Mapping[str, Any] | None = None, **_: Any) -> Inspection:
    """Lists a place, and reads no file. Raises `SourceError` and `MissingPackage`."""
    place = Place(location, given(options or {}))
    found = list(place.listed())
    size = sum(file.size for file in found)
    return Inspection(
        server=f"{len(found)} file{'s' if len(found) != 1 else ''}, {size:,} bytes",
        problems=() if found else (f"no file is at {location}",),
    )
