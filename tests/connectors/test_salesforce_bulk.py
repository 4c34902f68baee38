"""Salesforce by Bulk API 2.0: an organisation on the loopback that runs query jobs as the documentation has it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from itertools import count

import pytest

from dango.connectors.vendors import salesforce_bulk
from dango.errors import TokenError, VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.vendor import Answer, vendor

DATA = "/services/data/v62.0/"
FIELDS = {
    "Id": "id", "Name": "string", "Active__c": "boolean", "Seats__c": "int", "Amount": "currency",
    "CloseDate": "date", "SystemModstamp": "datetime", "IsDeleted": "boolean", "BillingAddress": "address",
    "Body": "base64", "Notes__c": "textarea",
}  # fmt: skip
QUERY = re.compile(r"SELECT (?P<fields>.+) FROM (?P<name>\w+)(?: WHERE (?P<cursor>\w+) >= (?P<since>\S+))?")


def refused(message, code, status):
    return Answer([{"message": message, "errorCode": code}], status)


class Organisation:
    """Objects and their records; a job is complete when it has been asked for `slow` times, and ends as `ends` says."""

    def __init__(self, records, fields=FIELDS, slow=1, ends="JobComplete"):
        self.records, self.fields, self.slow, self.ends = records, fields, slow, ends
        self.jobs, self.numbers = {}, count(1)
        self.part = 100
        self.lost = 0

    def __call__(self, asked):
        if asked.path == "/services/oauth2/token":
            if asked.form != {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s3cret"}:
                return Answer({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)
            return {"access_token": "granted"}
        if asked.headers.get("Authorization") != "Bearer granted":
            return refused("Session expired or invalid", "INVALID_SESSION_ID", 401)
        match asked.path.removeprefix(DATA).split("/"):
            case ["sobjects"]:
                return {"sobjects": [{"name": name, "queryable": True, "deprecatedAndHidden": False}
                                     for name in self.records]}  # fmt: skip
            case ["sobjects", name, "describe"] if name in self.records:
                return {"queryable": True, "fields": [{"name": key, "type": kind} for key, kind in self.fields.items()]}
            case ["jobs", "query"]:
                return self.begin(asked.json)
            case ["jobs", "query", job]:
                return self.state(self.jobs[job])
            case ["jobs", "query", job, "results"]:
                return self.results(self.jobs[job], int(asked.query.get("locator", 0)))
        return refused("The requested resource does not exist", "NOT_FOUND", 404)

    def begin(self, asked):
        assert asked["operation"] == "queryAll"
        found = QUERY.fullmatch(asked["query"])
        names = found["fields"].split(", ")
        if unfit := [name for name in names if self.fields[name] in ("address", "base64")]:
            return refused(f"Selecting {unfit} is not supported", "API_ERROR", 400)
        rows = [
            row for row in self.records[found["name"]] if not found["since"] or row[found["cursor"]] >= found["since"]
        ]
        job = str(next(self.numbers))
        self.jobs[job] = {"query": asked["query"], "names": names, "rows": rows, "asked": 0}
        return {"id": job, "state": "UploadComplete"}

    def state(self, job):
        job["asked"] += 1
        if job["asked"] < self.slow:
            return {"state": "InProgress"}
        if self.ends != "JobComplete":
            return {"state": self.ends, "errorMessage": "INVALID_FIELD: No such column"}
        return {"state": "JobComplete", "numberRecordsProcessed": len(job["rows"])}

    def results(self, job, begin):
        text = io.StringIO()
        writer = csv.DictWriter(text, job["names"], quoting=csv.QUOTE_ALL, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        rows = job["rows"][begin : begin + self.part]
        writer.writerows(rows[self.lost :])
        left = begin + self.part < len(job["rows"])
        locator = str(begin + self.part) if left else "null"
        headers = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": str(len(rows))}
        return Answer(text.getvalue(), headers={"Content-Type": "text/csv", **headers})


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(salesforce_bulk, "_PER_SECOND", 1000.0)
    monkeypatch.setattr(salesforce_bulk, "_PAUSE", 0.01)


def source(server, *objects, secret="s3cret", **answers):
    return made(
        "salesforce_bulk", objects=list(objects or ["Account"]), domain="shop", client_id="me", client_secret=secret,
        base_url=server.url, **answers,
    )  # fmt: skip


def account(number, at="2024-01-31T12:30:00.000Z", **more):
    return {
        "Id": f"001{number}", "Name": 'A "b",\nc', "Active__c": "true", "Seats__c": "7", "Amount": "12.5",
        "CloseDate": "2024-02-01", "SystemModstamp": at, "IsDeleted": "false", "Notes__c": "", **more,
    }  # fmt: skip


def failure(make):
    with pytest.raises(Exception) as caught:
        list(make())
    return root_cause(caught.value)


def test_an_object_becomes_a_table_with_all_its_fields_in_their_types(warehouse):
    with vendor(Organisation({"Account": [account(1), account(2, Seats__c="", CloseDate="")]}, slow=3)) as server:
        ask = warehouse.load(source(server))
    changed = dt.datetime(2024, 1, 31, 12, 30, tzinfo=dt.timezone.utc)
    assert ask("SELECT id, name, active__c, seats__c, amount, close_date, system_modstamp, notes__c FROM account") == [
        ("0011", 'A "b",\nc', True, 7, 12.5, dt.date(2024, 2, 1), changed, None),
        ("0012", 'A "b",\nc', True, None, 12.5, None, changed, None),
    ]


def test_the_second_load_merges_what_has_changed_and_what_was_deleted(warehouse):
    shop = Organisation({"Account": [account(1), account(2), account(3, "2024-03-01T00:00:00.000Z")]})
    with vendor(shop) as server:
        warehouse.load(source(server))
        shop.records["Account"][1:2] = [account(2, "2024-03-02T00:00:00.000Z", Name="new")]
        shop.records["Account"][2:] = [account(3, "2024-03-03T00:00:00.000Z", IsDeleted="true")]
        ask = warehouse.load(source(server))
    assert [QUERY.fullmatch(job["query"])["since"] for job in shop.jobs.values()] == [
        "2010-01-01T00:00:00Z", "2024-02-29T23:00:00Z"
    ]  # fmt: skip
    assert ask("SELECT id, name, is_deleted FROM account ORDER BY id") == [
        ("0011", 'A "b",\nc', False), ("0012", "new", False), ("0013", 'A "b",\nc', True)
    ]  # fmt: skip


def test_all_parts_of_a_result_are_read(warehouse):
    shop = Organisation({"Account": [account(number) for number in range(25)]})
    shop.part = 10
    with vendor(shop) as server:
        ask = warehouse.load(source(server))
        assert [asked.query.get("locator") for asked in server.asked if "/results" in asked.path] == [None, "10", "20"]
    assert ask("SELECT count(DISTINCT id), count(*) FROM account") == [(25, 25)]


def test_an_object_without_records_is_an_empty_table(warehouse):
    with vendor(Organisation({"Account": []})) as server:
        ask = warehouse.load(source(server))
        assert not any("/results" in asked.path for asked in server.asked)
    assert ask("SELECT count(*) FROM account") == [(0,)]


def test_an_object_that_does_not_tell_its_changes_is_replaced(warehouse):
    shop = Organisation({"Kind__mdt": [{"Id": "1", "Label": "a"}]}, {"Id": "id", "Label": "string"})
    with vendor(shop) as server:
        warehouse.load(source(server, "Kind__mdt"))
        shop.records["Kind__mdt"] = [{"Id": "2", "Label": "b"}]
        ask = warehouse.load(source(server, "Kind__mdt"))
    assert ask("SELECT id, label FROM kind__mdt") == [("2", "b")]


def test_objects_are_offered():
    with vendor(Organisation({"Account": [], "Mine__c": []})) as server:
        found = salesforce_bulk.inspect("shop", "me", "s3cret", base_url=server.url, objects=["Account"])
    assert found.choices == {"objects": ("Account", "Mine__c")}


def test_a_job_that_fails_is_told_in_salesforces_words():
    with vendor(Organisation({"Account": []}, ends="Failed")) as server:
        error = failure(lambda: source(server))
    assert isinstance(error, VendorError)
    assert error.message == "Salesforce's job for Account ends as Failed: INVALID_FIELD: No such column"


def test_a_job_that_is_never_done_is_told(monkeypatch):
    monkeypatch.setattr(salesforce_bulk, "_SECONDS", 0.05)
    with vendor(Organisation({"Account": []}, slow=10**6)) as server:
        assert "job for Account is not done after 0.05 seconds" in failure(lambda: source(server)).message


def test_a_result_that_is_no_table_is_told():
    shop = Organisation({"Account": [account(1, Seats__c="many")]})
    with vendor(shop) as server:
        assert "cannot be read" in failure(lambda: source(server)).message


def test_a_result_that_is_cut_short_is_told():
    shop = Organisation({"Account": [account(1), account(2)]})
    shop.lost = 1
    with vendor(shop) as server:
        assert "has 1 of 2 records" in failure(lambda: source(server)).message


def test_an_object_that_may_not_be_read_is_told():
    with vendor(Organisation({"Account": []})) as server:
        error = failure(lambda: source(server, "Acount"))
    assert "404: The requested resource does not exist" in error.message
    assert "no such object" in error.hint


def test_a_secret_that_is_refused_is_told_and_not_shown():
    with vendor(Organisation({"Account": []})) as server:
        error = failure(lambda: source(server, secret="hunter22"))
    assert isinstance(error, TokenError)
    assert "invalid_client: invalid client credentials" in error.message
    assert "hunter22" not in f"{error} {error.hint}"
