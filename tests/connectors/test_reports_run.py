"""Sources that ask vendors for reports, through the command line: planned, tried, loaded twice, and a range of days."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import ExitStack

import pytest

from tests.connectors import (
    test_facebook_ads,
    test_google_analytics,
    test_google_sheets,
    test_plausible,
    test_salesforce_bulk,
)
from tests.connectors.google import key_file
from tests.connectors.vendor import vendor

pytestmark = pytest.mark.slow

TODAY = dt.datetime.now(dt.timezone.utc).date()
DAY = dt.timedelta(days=1)
SINCE = (TODAY - 9 * DAY).isoformat()


@pytest.fixture
def vendors():
    """One server for each vendor, with a little of everything."""
    days = [TODAY - n * DAY for n in range(9)]
    answers = {
        "web": test_plausible.Site({day: {(): 1} for day in days}),
        "ga": test_google_analytics.Property({day: {(): 1} for day in days}),
        "ads": test_facebook_ads.Account({day: [test_facebook_ads.ad(1), test_facebook_ads.ad(2)] for day in days}),
        "crm": test_salesforce_bulk.Organisation({"Account": [test_salesforce_bulk.account(n) for n in range(3)]}),
        "sheet": test_google_sheets.Spreadsheet({"Orders": test_google_sheets.ORDERS}),
    }
    with ExitStack() as stack:
        yield {name: (answer, stack.enter_context(vendor(answer))) for name, answer in answers.items()}


def project(vendors):
    """`sources.yml` and `secrets.toml`."""
    url = {name: server.url for name, (_, server) in vendors.items()}
    blocks = {
        "web": (
            "plausible",
            {"site": "shop.example", "start_date": SINCE, "reports": {"mine": {"metrics": ["events"]}}},
            ["overview", "mine"],
        ),
        "ga": ("google_analytics", {"property_id": "123", "start_date": SINCE}, ["overview"]),
        "ads": ("facebook_ads", {"account": "7", "start_date": SINCE}, ["insights"]),
        "crm": ("salesforce_bulk", {"domain": "shop", "client_id": "me", "objects": ["Account"]}, []),
        "sheet": ("google_sheets", {"spreadsheet": "1AbC"}, ["Orders"]),
    }
    secrets = {
        "web": {"api_key": "k3y"}, "ads": {"token": test_facebook_ads.TOKEN},
        "ga": {"credentials": key_file(url["ga"])},
        "crm": {"client_secret": "s3cret"}, "sheet": {"credentials": key_file(url["sheet"])},
    }  # fmt: skip
    sources = [
        {
            "name": name,
            "type": kind,
            kind: {**block, "base_url": url[name]},
            **({"resources": {each: {} for each in resources}} if resources else {}),
        }
        for name, (kind, block, resources) in blocks.items()
    ]
    toml = (
        f"[sources.{name}]\n{key} = {json.dumps(value)}\n"
        for name, given in secrets.items()
        for key, value in given.items()
    )
    return {"sources": json.dumps({"version": 1, "sources": sources}), ".dlt/secrets.toml": "".join(toml)}


COUNTS = """
SELECT (SELECT count(*) FROM raw_web.overview), (SELECT count(*) FROM raw_ga.overview),
    (SELECT count(*) FROM raw_ads.insights), (SELECT count(*) FROM raw_crm.account),
    (SELECT count(*) FROM raw_sheet.orders)
"""


def test_reports_are_loaded_and_loaded_again(write, dango, rows, vendors):
    write(project(vendors))
    assert dango("check").code == 0
    for _ in range(2):
        done = dango("sync")
        assert done.code == 0, done.err
        assert rows(COUNTS) == [(9, 9, 18, 3, 2)]
    assert "s3cret" not in done.out + done.err


def test_a_range_of_days_takes_the_place_of_what_was_loaded_of_it(write, dango, rows, vendors):
    write(project(vendors))
    assert dango("sync", "web").code == 0
    site, server = vendors["web"]
    site.days = {day: {(): 7} for day in site.days}
    asked = len(server.asked)
    done = dango("sync", "web", "--since", str(TODAY - 7 * DAY), "--until", str(TODAY - 5 * DAY))
    assert done.code == 0, done.err
    ranges = [each.json["date_range"] for each in server.asked[asked:]]
    assert ranges == [[(TODAY - 7 * DAY).isoformat(), (TODAY - 6 * DAY).isoformat()]] * 2
    assert rows("SELECT visitors, count(*) FROM raw_web.overview GROUP BY 1 ORDER BY 1") == [(1, 7), (7, 2)]


def test_a_source_tells_its_objects_and_whether_they_can_be_read(write, dango, vendors):
    write(project(vendors))
    for name in ("crm", "sheet"):
        done = dango("source", "test", name)
        assert done.code == 0, done.err
    assert "Orders" in done.out
