"""Google Sheets: a spreadsheet on the loopback that answers as the documentation of the API has it."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from dango.connectors.vendors import google_sheets
from dango.errors import SourceError, TokenError, VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.google import key_file, refused, token
from tests.connectors.vendor import vendor

SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"
TIME = {"type": "TIME", "pattern": "hh:mm"}
DURATION = {"type": "TIME", "pattern": "[h]:mm"}
ORDERS = [
    [],
    ["Order ID", "Amount", "Ordered", "Shipped at", "", "Paid", "amount "],
    [1, 9.5, (45322, {"type": "DATE"}), (45322.75, {"type": "DATE_TIME"}), "x", True, "first"],
    [],
    [2, 10, (45323, {"type": "DATE"}), None, None, False, {"errorValue": {"type": "N_A"}}],
]


def cell(value):
    number, shown = value if isinstance(value, tuple) else (value, None)
    match number:
        case None | "":
            return {}
        case dict():
            return {"effectiveValue": number}
        case bool():
            return {"effectiveValue": {"boolValue": number}}
        case str():
            return {"effectiveValue": {"stringValue": number}}
    formatted = {"effectiveFormat": {"numberFormat": shown}} if shown else {}
    return {"effectiveValue": {"numberValue": number}, **formatted}


class Spreadsheet:
    """One spreadsheet; only a bearer of a token sees it, and nobody what is beyond its sheets."""

    def __init__(self, sheets, named=(), size=(1000, 26)):
        self.sheets, self.named, self.size = sheets, named, size
        self.hidden = ()

    def __call__(self, asked):
        if asked.path == "/token":
            return token(asked, SCOPE)
        if asked.headers.get("Authorization") != "Bearer granted":
            return refused("Request had invalid authentication credentials.", 401, "UNAUTHENTICATED")
        if asked.path != "/v4/spreadsheets/1AbC":
            return refused("The caller does not have permission", 403, "PERMISSION_DENIED")
        return self.content(asked.query["ranges"]) if "ranges" in asked.query else self.overview()

    def overview(self):
        rows, columns = self.size
        grids = [
            {"sheetId": number, "title": title, "gridProperties": {"rowCount": rows, "columnCount": columns},
             **({"hidden": True} if title in self.hidden else {})}
            for number, title in enumerate(self.sheets)
        ]  # fmt: skip
        chart = {"properties": {"sheetId": 99, "title": "Chart", "sheetType": "OBJECT"}}
        return {"sheets": [*({"properties": grid} for grid in grids), chart], "namedRanges": list(self.named)}

    def content(self, a1):
        found = re.fullmatch(r"'(?P<sheet>.*)'!(?P<left>[A-Z]+)(?P<top>\d+):(?P<right>[A-Z]+)(?P<bottom>\d+)", a1)
        top, bottom = int(found["top"]) - 1, int(found["bottom"])
        left, right = google_sheets._number(found["left"]), google_sheets._number(found["right"]) + 1
        if bottom > self.size[0] or right > self.size[1]:
            return refused(f"Range ({a1}) exceeds grid limits.", 400, "INVALID_ARGUMENT")
        rows = self.sheets[found["sheet"].replace("''", "'")][top:bottom]
        return {"sheets": [{"data": [{"rowData": [{"values": list(map(cell, row[left:right]))} for row in rows]}]}]}


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(google_sheets, "_PER_SECOND", 1000.0)


def source(server, resources=(), spreadsheet="1AbC", **answers):
    return made(
        "google_sheets", resources, spreadsheet=spreadsheet, credentials=key_file(server.url), base_url=server.url,
        **answers,
    )  # fmt: skip


def test_a_sheet_becomes_a_table_whose_cells_keep_their_types(warehouse):
    with vendor(Spreadsheet({"Orders": ORDERS})) as server:
        ask = warehouse.load(source(server, spreadsheet="https://docs.google.com/spreadsheets/d/1AbC/edit#gid=0"))
    assert ask("SELECT order_id, amount, ordered, shipped_at, column_e, paid, amount_1 FROM orders ORDER BY 1") == [
        (1.0, 9.5, dt.date(2024, 1, 31), dt.datetime(2024, 1, 31, 18, tzinfo=dt.timezone.utc), "x", True, "first"),
        (2.0, 10.0, dt.date(2024, 2, 1), None, None, False, None),
    ]
    columns = ask("SELECT column_name FROM duckdb_columns() WHERE table_name = 'orders'")
    assert sorted(name for (name,) in columns if not name.startswith("_dlt")) == [
        "amount", "amount_1", "column_e", "order_id", "ordered", "paid", "shipped_at"
    ]  # fmt: skip


def test_the_second_load_replaces_the_first(warehouse):
    book = Spreadsheet({"Orders": ORDERS})
    with vendor(book) as server:
        warehouse.load(source(server))
        book.sheets["Orders"] = [["Order ID", "Amount"], [7, 1.25]]
        ask = warehouse.load(source(server))
    assert ask("SELECT order_id, amount, paid FROM orders") == [(7.0, 1.25, None)]


def test_a_large_sheet_is_read_in_parts_and_to_its_end(warehouse, monkeypatch):
    monkeypatch.setattr(google_sheets, "_CELLS", 10)
    rows = [["n", "m"], *([n, n] for n in range(22))]
    with vendor(Spreadsheet({"It's": rows}, size=(23, 2))) as server:
        ask = warehouse.load(source(server))
        assert [asked.query["ranges"] for asked in server.to("/v4/spreadsheets/1AbC")[1:]] == [
            "'It''s'!A1:B5", "'It''s'!A6:B10", "'It''s'!A11:B15", "'It''s'!A16:B20", "'It''s'!A21:B23"
        ]  # fmt: skip
    assert ask("SELECT count(*), sum(n) FROM it_s") == [(22, sum(range(22)))]


def test_named_ranges_and_ranges_in_a1_notation_are_tables_too():
    named = {"name": "prices", "range": {"sheetId": 0, "startRowIndex": 1, "startColumnIndex": 1, "endColumnIndex": 3}}
    rows = [["a note"], [None, "sku", "price", "?"], [None, "a", 3], [None, "b", 4]]
    with vendor(Spreadsheet({"Shop": rows, "Other": [["x"], ["y"]]}, [named])) as server:
        assert list(source(server, ["prices"])) == [{"sku": "a", "price": 3.0}, {"sku": "b", "price": 4.0}]
        assert list(source(server, ranges={"skus": "Shop!B2:B3", "other": "Other"})) == [{"sku": "a"}, {"x": "y"}]
        assert list(source(server, ranges={"skus": "Shop!B2:ZZ99999"}))[1]["price"] == 4.0


def test_what_is_hidden_is_loaded_only_where_it_is_asked_for():
    book = Spreadsheet({"Shown": [["a"], [1]], "Lists": [["b"], [2]]})
    book.hidden = ("Lists",)
    with vendor(book) as server:
        assert list(source(server)) == [{"a": 1.0}]
        assert list(source(server, ["Lists"])) == [{"b": 2.0}]
        assert [table.name for table in inspected(server).tables] == ["Shown"]


def inspected(server):
    return google_sheets.inspect("1AbC", key_file(server.url), server.url, table_names=[])


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ((0.5, TIME), dt.time(12)),
        ((1.5, DURATION), 129600.0),
        ((45322.123456789, {"type": "DATE_TIME"}), dt.datetime(2024, 1, 31, 2, 57, 46, 667000)),
        ((0.25, {"type": "PERCENT"}), 0.25),
        ((1e9, {"type": "DATE"}), None),
        ("=", "="),
    ],
)
def test_a_cell_is_what_it_is_shown_as(value, read):
    assert google_sheets._value(cell(value)) == read


def test_a_sheet_with_nothing_but_a_header_has_no_rows():
    with vendor(Spreadsheet({"Empty": [["a", "b"]], "Blank": []})) as server:
        assert list(source(server)) == []


def test_a_sheet_that_is_not_there_is_told_with_those_that_are():
    with vendor(Spreadsheet({"Orders": ORDERS})) as server:
        with pytest.raises(SourceError, match=r"no sheet or range `Order` .did you mean `Orders`") as caught:
            source(server, ["Order"])
        with pytest.raises(SourceError, match="`Oders!A:B` is neither a sheet"):
            source(server, ranges={"orders": "Oders!A:B"})
    assert caught.value.hint == "there is: Orders"


def test_a_spreadsheet_that_is_not_shared_is_told_with_what_to_do():
    with vendor(Spreadsheet({})) as server, pytest.raises(VendorError, match="403: The caller does not have") as caught:
        source(server, spreadsheet="other")
    assert "share the spreadsheet" in caught.value.hint


def test_a_key_that_google_refuses_is_told():
    answer = refused("Invalid JWT Signature.", 400, "invalid_grant")
    with vendor(lambda asked: answer) as server, pytest.raises(Exception) as caught:
        source(server)
    assert isinstance(root_cause(caught.value), TokenError)
