"""QuickBooks Online: a company on the loopback that answers queries, and rotates refresh tokens, as documented."""

from __future__ import annotations

import base64
import re

import pytest

from dango.connectors.vendors import quickbooks
from dango.conversions import moment
from dango.errors import TokenError, VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.vendor import Answer, vendor

BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()
QUERY = re.compile(
    r"SELECT \* FROM (?P<entity>\w+) WHERE MetaData.LastUpdatedTime >= '(?P<since>[^']+)'"
    r"(?P<all> AND Active IN \(true, false\))? ORDERBY Id STARTPOSITION (?P<position>\d+) MAXRESULTS (?P<size>\d+)"
)


class Company:
    """Its entries by kind. Each refresh token is taken once."""

    def __init__(self, **entries):
        self.entries, self.refresh_token = entries, "first"

    def __call__(self, asked):
        if asked.path == "/token":
            if (asked.headers["Authorization"], asked.form["refresh_token"]) != (BASIC, self.refresh_token):
                return Answer({"error": "invalid_grant", "error_description": "Incorrect Token"}, 400)
            self.refresh_token = f"after {self.refresh_token}"
            return {"access_token": "granted", "refresh_token": self.refresh_token, "expires_in": 3600}
        assert (asked.headers["Authorization"], asked.headers["Accept"]) == ("Bearer granted", "application/json")
        if asked.path != "/v3/company/7/query":
            error = {"Message": "ApplicationAuthorizationFailed", "Detail": "Failed to authorize", "code": "3202"}
            return Answer({"Fault": {"Error": [error]}}, 403)
        found = QUERY.fullmatch(asked.query["query"])
        rows = [
            row for row in self.entries.get(found["entity"], [])
            if moment(row["MetaData"]["LastUpdatedTime"]) >= moment(found["since"])
            and (found["all"] or row.get("Active", True))
        ]  # fmt: skip
        begin, size = int(found["position"]) - 1, int(found["size"])
        page = sorted(rows, key=lambda row: int(row["Id"]))[begin : begin + size]
        return {"QueryResponse": {found["entity"]: page, "startPosition": begin + 1} if page else {}, "time": "…"}


def entry(number, at="2024-01-31T04:00:00-08:00", **more):
    return {"Id": str(number), "MetaData": {"LastUpdatedTime": at}, **more}


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(quickbooks, "_PER_SECOND", 1000.0)
    monkeypatch.setenv("DANGO_TOKENS", str(tmp_path / "tokens"))


def source(server, *resources, company_id="7", refresh_token="first"):
    whole = made(
        "quickbooks", company_id=company_id, client_id="me", client_secret="s3cret", refresh_token=refresh_token,
        base_url=server.url, token_url=f"{server.url}/token",
    )  # fmt: skip
    return whole.with_resources(*(resources or ["invoices"]))


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


def test_the_second_load_merges_what_has_changed_with_the_newest_token(warehouse):
    company = Company(Invoice=[entry(1, TotalAmt=10.5, Line=[{"Amount": 10.5}]), entry(2, TotalAmt=1)])
    with vendor(company) as server:
        warehouse.load(source(server))
        company.entries["Invoice"] = [entry(1, TotalAmt=10.5), entry(2, "2024-02-01T00:00:00Z", TotalAmt=7)]
        ask = warehouse.load(source(server))
        assert QUERY.fullmatch(server.asked[-1].query["query"])["since"] == "2024-01-31T11:55:00Z"
    assert ask("SELECT id, total_amt, updated_at::date::text FROM invoices ORDER BY id") == [
        ("1", 10.5, "2024-01-31"), ("2", 7.0, "2024-02-01")
    ]  # fmt: skip
    assert company.refresh_token == "after after first"


def test_lines_are_rows_of_a_table_beside_it(warehouse):
    lines = [{"Id": "1", "Amount": 4.5, "SalesItemLineDetail": {"ItemRef": {"value": "9"}}}, {"Id": "2", "Amount": 6}]
    with vendor(Company(Invoice=[entry(1, Line=lines)])) as server:
        ask = warehouse.load(source(server))
    assert ask("SELECT id, amount, sales_item_line_detail->>'$.ItemRef.value' FROM invoices__line ORDER BY id") == [
        ("1", 4.5, "9"), ("2", 6.0, None)
    ]  # fmt: skip


def test_pages_are_asked_for_to_the_last(monkeypatch):
    monkeypatch.setattr(quickbooks, "_PAGE", 2)
    with vendor(Company(Bill=[entry(number) for number in range(1, 6)])) as server:
        assert [row["Id"] for row in source(server, "bills")] == ["1", "2", "3", "4", "5"]
        assert len(server.to("/v3/company/7/query")) == 3


def test_what_is_not_in_use_any_more_is_loaded_too():
    with vendor(Company(Customer=[entry(1, Active=True), entry(2, Active=False)])) as server:
        assert [row["Active"] for row in source(server, "customers")] == [True, False]


def test_a_company_without_entries_has_no_rows():
    with vendor(Company()) as server:
        assert list(source(server, *quickbooks.ENTITIES)) == []


def test_a_company_that_may_not_be_seen_is_told():
    with vendor(Company()) as server:
        error = failure(source(server, company_id="9"))
    assert isinstance(error, VendorError)
    assert "403: Failed to authorize" in error.message
    assert "belong to the company" in error.hint


def test_a_refresh_token_that_is_refused_is_told_and_not_shown():
    with vendor(Company()) as server:
        error = failure(source(server, refresh_token="hunter22"))
    assert isinstance(error, TokenError)
    assert "invalid_grant: Incorrect Token" in error.message
    assert "hunter22" not in f"{error} {error.hint}"
