"""Sheets and ranges of a Google spreadsheet: the first filled row names the columns, each cell keeps its type."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.sources import DltResource

from dango.connectors.headers import distinct
from dango.connectors.oauth import GoogleServiceAccount
from dango.connectors.vendors.api import Api
from dango.errors import SourceError, near
from dango.probe import Inspection, Table

_SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"
# Google allows 60 requests a minute to each user of a project.
_PER_SECOND = 1.0
_CELLS = 50_000
"""As many are asked for at once: a few megabytes."""
_OVERVIEW = "sheets(properties(sheetId,title,hidden,gridProperties(rowCount,columnCount))),namedRanges(name,range)"
_CONTENT = "sheets(data(rowData(values(effectiveValue,effectiveFormat(numberFormat(type,pattern))))))"
_SPREADSHEET = re.compile(r".*/spreadsheets/d/(?P<id>[\w-]+).*")
_A1 = re.compile(
    r"(?:(?P<sheet>'(?:[^']|'')+'|[^'!]+)!)?"
    r"(?P<left>[A-Za-z]{1,3})(?P<top>\d+)?:(?P<right>[A-Za-z]{1,3})(?P<bottom>\d+)?"
)
# A date is a number of days since then.
_EPOCH = dt.datetime(1899, 12, 30)
_DAY_MS = 86_400_000
_HINTS = {
    401: "dango explain shows where the key of the service account comes from",
    403: "share the spreadsheet with the service account's e-mail address, as Viewer, and enable the Sheets API",
    404: "the spreadsheet's address has its id; it must be a Google spreadsheet, not an uploaded Excel file",
}

Cell = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Area:
    """Cells of a sheet: rows and columns from (inclusive) and to (exclusive), counted from 0."""

    sheet: str
    top: int
    bottom: int
    left: int
    right: int

    def rows(self, first: int, end: int) -> str:
        """Some of its rows, in A1 notation."""
        quoted = self.sheet.replace("'", "''")
        return f"'{quoted}'!{_letters(self.left)}{first + 1}:{_letters(self.right - 1)}{end}"


def google_sheets(
    spreadsheet: str,
    credentials: str | Mapping[str, Any],
    table_names: Sequence[str] | None = None,
    ranges: Mapping[str, str] | None = None,
    base_url: str = "https://sheets.googleapis.com",
) -> list[DltResource]:
    """A resource for each sheet, named range, or range that is given a name; each sync replaces its table.

    Args:
        spreadsheet: its address, or the id in it.
        credentials: the JSON key of a service account that may read it.
        table_names: titles of sheets, names of named ranges, and of `ranges`. Without them: `ranges`, or where there
            are none, every sheet that is not hidden.
        ranges: A1 notation by the name of a table, such as `Sales!B3:F`.
        base_url: of the API.

    Raises:
        SourceError: when there is no sheet or range of a name.
        VendorError: when Google refuses.
    """
    api, key = _api(base_url, credentials), _id(spreadsheet)
    book = _Book(api.get(f"v4/spreadsheets/{key}", {"fields": _OVERVIEW}))
    areas = {**book.areas, **{name: book.area(name, given) for name, given in (ranges or {}).items()}}
    for name in table_names or ():
        if name not in areas:
            raise SourceError(
                f"there is no sheet or range `{name}`{near(name, areas)} in the spreadsheet",
                f"there is: {', '.join(areas)}",
                loc=("resources", name),
            )
    return [
        dlt.resource(_rows, name=name, write_disposition="replace", max_table_nesting=0)(api, key, areas[name])
        for name in table_names or ranges or book.visible
    ]


def inspect(
    spreadsheet: str, credentials: str | Mapping[str, Any], base_url: str = "https://sheets.googleapis.com", **_: Any
) -> Inspection:
    """Asks a spreadsheet for its sheets and named ranges. Raises `VendorError`."""
    book = _Book(_api(base_url, credentials).get(f"v4/spreadsheets/{_id(spreadsheet)}", {"fields": _OVERVIEW}))
    return Inspection(server="Google Sheets", tables=tuple(map(Table, [*book.visible, *book.named])))


def _api(base_url: str, credentials: str | Mapping[str, Any]) -> Api:
    auth = GoogleServiceAccount("google_sheets", credentials=credentials, scopes=[_SCOPE])
    return Api(base_url, _PER_SECOND, auth, hints=_HINTS)


def _id(spreadsheet: str) -> str:
    found = _SPREADSHEET.fullmatch(spreadsheet)
    return found["id"] if found else spreadsheet


class _Book:
    """What a spreadsheet consists of."""

    def __init__(self, overview: Mapping[str, Any]) -> None:
        # What is no grid (a chart, a table of BigQuery's) has no cells to ask for.
        grids = [sheet["properties"] for sheet in overview["sheets"] if sheet["properties"].get("gridProperties")]
        self._sheets = {sheet["title"]: _whole(sheet) for sheet in grids}
        by_id = {sheet["sheetId"]: self._sheets[sheet["title"]] for sheet in grids}
        self.visible = [sheet["title"] for sheet in grids if not sheet.get("hidden")]
        ranges = [named for named in overview.get("namedRanges", ()) if named["range"].get("sheetId", 0) in by_id]
        self.named = {each["name"]: _part(by_id[each["range"].get("sheetId", 0)], each["range"]) for each in ranges}

    @property
    def areas(self) -> dict[str, Area]:
        """Sheets by title, and named ranges by name; a sheet of the same name wins."""
        return {**self.named, **self._sheets}

    def area(self, name: str, a1: str) -> Area:
        """What a text in A1 notation means. Raises `SourceError`."""
        if a1 in self.areas:
            return self.areas[a1]
        found = _A1.fullmatch(a1.strip())
        title = (found["sheet"] or self.visible[0]) if found else ""
        title = title[1:-1].replace("''", "'") if title.startswith("'") else title
        if found is None or title not in self._sheets:
            raise SourceError(
                f"the range `{name}`: `{a1}` is neither a sheet{near(title or a1, self.areas)} nor A1 notation",
                "such as Sales, Sales!B3:F or 'Sales 2024'!A1:D200",
            )
        return _part(
            self._sheets[title],
            {
                "startRowIndex": int(found["top"] or 1) - 1,
                "startColumnIndex": _number(found["left"]),
                "endColumnIndex": _number(found["right"]) + 1,
                **({"endRowIndex": int(found["bottom"])} if found["bottom"] else {}),
            },
        )


def _whole(sheet: Mapping[str, Any]) -> Area:
    grid = sheet["gridProperties"]
    return Area(sheet["title"], 0, grid.get("rowCount", 0), 0, grid.get("columnCount", 0))


def _part(whole: Area, of: Mapping[str, int]) -> Area:
    """A part of a sheet in the API's terms: what is not said is unbounded. What is beyond the sheet, it refuses."""
    return Area(
        whole.sheet,
        of.get("startRowIndex", 0),
        min(of.get("endRowIndex", whole.bottom), whole.bottom),
        of.get("startColumnIndex", 0),
        min(of.get("endColumnIndex", whole.right), whole.right),
    )


def _rows(api: Api, key: str, area: Area) -> Iterator[list[dict[str, Any]]]:
    """Pages of rows; empty rows, and columns without a name and a value, are left out."""
    naming = dlt.current.source_schema().naming
    names: list[str] | None = None
    for cells in _pages(api, key, area):
        filled = [row for row in (list(map(_value, cells_of)) for cells_of in cells) if any(v is not None for v in row)]
        if names is None and filled:
            names = _names(filled.pop(0), area, naming)
        yield [_named(row, names or []) for row in filled]


def _pages(api: Api, key: str, area: Area) -> Iterator[list[list[Cell]]]:
    width = max(1, area.right - area.left)
    height = max(1, _CELLS // width)
    for first in range(area.top, area.bottom, height):
        asked = {"ranges": area.rows(first, min(first + height, area.bottom)), "fields": _CONTENT}
        data = api.get(f"v4/spreadsheets/{key}", asked)["sheets"][0].get("data") or [{}]
        yield [row.get("values", []) for row in data[0].get("rowData", ())]


def _names(header: Sequence[Any], area: Area, naming: Any) -> list[str]:
    """Names of columns that stay apart in the table, too; one without a header is called by its letters."""
    width = area.right - area.left
    texts = [_text(value) for value in [*header, *[None] * (width - len(header))]]
    return distinct(
        naming.normalize_identifier(text or f"column {_letters(area.left + position)}")
        for position, text in enumerate(texts)
    )


def _text(header: Any) -> str:
    """A header that may be a year, or a day."""
    whole = isinstance(header, float) and header.is_integer()
    return "" if header is None else str(int(header) if whole else header).strip()


def _named(row: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in zip(names, row, strict=False) if value is not None}


def _value(cell: Cell) -> Any:
    """What stands in a cell; nothing for none, and for an error such as #N/A."""
    value = cell.get("effectiveValue") or {}
    if "numberValue" in value:
        return _number_as_shown(value["numberValue"], cell.get("effectiveFormat", {}).get("numberFormat", {}))
    return value["boolValue"] if "boolValue" in value else value.get("stringValue") or None


def _number_as_shown(number: float, shown: Mapping[str, str]) -> Any:
    """A number, or the time that it is shown as. Sheets knows no whole numbers, and so all are of one type."""
    kind = shown.get("type")
    if kind not in ("DATE", "DATE_TIME", "TIME"):
        return float(number)
    if "[" in shown.get("pattern", ""):
        # A duration, which may be longer than a day: in seconds.
        return number * _DAY_MS / 1000
    try:
        moment = _EPOCH + dt.timedelta(milliseconds=round(number * _DAY_MS))
    except OverflowError:
        return None
    return {"DATE": moment.date(), "TIME": moment.time(), "DATE_TIME": moment}[kind]


def _letters(column: int) -> str:
    """The letters of a column that is counted from 0."""
    letters = ""
    column += 1
    while column:
        column, last = divmod(column - 1, 26)
        letters = chr(ord("A") + last) + letters
    return letters


def _number(letters: str) -> int:
    """The reverse."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
