"""What new and changed files hold becomes items of their resource, by the quickest way that takes a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dlt
from dlt.sources import DltResource

from dango import paths
from dango.columnar import hooks
from dango.connectors import parquet_columns
from dango.connectors.csv_columns import Texts
from dango.connectors.file_formats import Broken, Options, pages, written
from dango.connectors.file_kinds import Format
from dango.connectors.file_tables import Irregular, Table
from dango.connectors.files import FILE
from dango.connectors.storages import Found
from dango.dlt_internals import files as dlt_files
from dango.errors import SourceError

_EMPTIED = "_emptied"
_WAYS = "ways"
COLUMNS, DOCUMENTS = "", "documents"
"""The ways that a file is read by; another is row by row, for the reason that it is called by."""


class Reader:
    """Reads the files of a resource that is being extracted, one after the other.

    Args:
        resource: before any of its files is read.
        reading: how they are read where they do not say it themselves, as `Options` has it.
    """

    def __init__(self, resource: DltResource, **reading: Any) -> None:
        self._resource, self._options = resource, Options(**reading)
        self._hinted = {*dlt_files.hinted(resource)} if dlt_files.extracting() else set()
        self._met: set[str] = set()
        self._ways: dict[str, int] = resource.custom_metrics.setdefault(_WAYS, {})

    def read(self, file: Found, plain: Path, kind: Format, *, changed: bool) -> Iterator[Any]:
        """The items of a file.

        Args:
            file: the file.
            plain: the same on the disk, in UTF-8 where it is text, and not packed.
            kind: its format.
            changed: whether it has been read by an earlier sync.

        Raises:
            SourceError: when it is not what its format says.
        """
        if kind == "csv":
            self._options = replace(self._options, texts=Texts(self._said(file), self._met))
        try:
            rows, way = yield from self._taken(file, plain, kind)
        except Broken as error:
            hint = error.hint or "nothing of this sync is loaded"
            raise SourceError(f"{file.address}: {error.message}", hint) from error
        if rows:
            self._ways[way] = self._ways.get(way, 0) + 1
            slowly = next((way for way in self._ways if way not in (COLUMNS, DOCUMENTS)), "")
            if slowly or COLUMNS in self._ways:
                paths.note(str(self._resource.name), "rows" if slowly else "columns", slowly)
        if not rows and changed:
            # What it held before goes: a row that says so, and is not loaded itself.
            dlt_files.let_ids_be_missing(dlt_files.table_of(self._resource))
            hints = dlt.mark.make_hints(columns={_EMPTIED: {"data_type": "bool", "hard_delete": True}})
            yield dlt.mark.with_hints({FILE: file.address, _EMPTIED: True}, hints)

    def _taken(self, file: Found, plain: Path, kind: Format) -> Generator[Any, None, tuple[int, str]]:
        """Takes a file in; the quickest ways come first. Returns how many rows it has, and the way."""
        why = ""
        for name, take in ((COLUMNS, self._columns), (DOCUMENTS, self._documents)):
            try:
                return (yield from take(file, plain, kind)), name
            except Irregular as irregular:
                why = str(irregular) or why
        return (yield from self._row_by_row(file, plain, kind)), why

    def _columns(self, file: Found, plain: Path, kind: Format) -> Generator[Any, None, int]:
        """Takes a file in by its columns. Raises `Irregular` before anything is taken in."""
        if any(self._ways):
            raise Irregular("an earlier file was read row by row")
        table = self._table(file)
        table.require_plain()
        with tempfile.TemporaryDirectory(prefix="columns-", dir=dlt_files.room()) as folder:
            path = Path(folder) / "rows.parquet"
            schema, rows = written(plain, kind, self._options, table, path, lasting=str(plain) == file.path)
            if rows:
                yield dlt_files.imported(path, schema, rows)
        return rows

    def _documents(self, file: Found, plain: Path, kind: Format) -> Generator[Any, None, int]:
        """Takes a file in as documents that dlt's extraction need not make.

        Raises:
            Irregular: before any is taken in. It says nothing where no file of its format could be.
        """
        # From here on dicts come, which have row ids, and the table may have rows without.
        dlt_files.let_ids_be_missing(dlt_files.table_of(self._resource))
        if kind != "jsonl" or not hooks.are_on():
            raise Irregular
        table = self._table(file)
        table.require_untouched()
        # Here, since it brings Arrow's reader of JSON, which few need.
        from dango.connectors import jsonl_documents

        with tempfile.TemporaryDirectory(prefix="documents-", dir=dlt_files.room()) as folder:
            path = Path(folder) / "documents"
            rows = jsonl_documents.write(plain, {FILE: file.address}, path)
            yield dlt_files.documents(path, rows, table.decimals(table.undecided))
        return rows

    def _row_by_row(self, file: Found, plain: Path, kind: Format) -> Generator[Any, None, int]:
        rows, columns = 0, {}
        if dlt_files.extracting():
            table = self._table(file)
            columns = table.decimals(parquet_columns.digits_of(plain) if kind == "parquet" else table.undecided)
        for page in pages(plain, kind, self._options):
            found = [{**row, FILE: file.address} for row in page]
            yield dlt.mark.with_hints(found, dlt.mark.make_hints(columns=columns)) if columns and not rows else found
            rows += len(page)
        return rows

    def _said(self, file: Found) -> Callable[[str], str | None]:
        """What tells the type in the table of a file's column, where it has one."""
        if dlt_files.extracting():
            return self._table(file).said
        hinted = self._resource.columns if isinstance(self._resource.columns, dict) else {}
        return lambda name: hinted.get(name, {}).get("data_type")

    def _table(self, file: Found) -> Table:
        """The table as it is before a file. Raises `Irregular` where there is none."""
        if not dlt_files.extracting():
            raise Irregular("nothing of it is loaded")
        return Table(self._resource, {FILE: file.address}, self._hinted)


def ways(resource: DltResource) -> Mapping[str, int]:
    """How many files of a resource that has been extracted were read row by row, by the reasons; those under an empty
    reason were taken in by their columns, those under `documents` as nested documents, which is quick, too."""
    return dict(resource.custom_metrics.get(_WAYS, {}))
