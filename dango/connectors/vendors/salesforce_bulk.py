"""Salesforce by its Bulk API 2.0: whole objects with all their fields, as Arrow; jobs that Salesforce runs itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dlt
import pyarrow as pa
from dlt.sources import DltResource
from pyarrow import csv
from requests import Response

from dango.connectors.oauth import OAuth2Client
from dango.connectors.vendors.api import Api
from dango.connectors.vendors.reports import awaited
from dango.conversions import convert, moment
from dango.errors import SourceError, VendorError
from dango.probe import Inspection

_PER_SECOND = 5.0
# The best first: the first is moved by everything, formulas excepted.
_CURSORS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
# A long transaction shows later than its records say.
_LAG = 3600.0
_RECORDS = 100_000
_BLOCK = 8 << 20
"""More than the longest record: a long text area has 131,072 characters, and an object many of them."""
_SECONDS = 4 * 3600.0
_PAUSE = 1.0
# What a job cannot select: compounds, whose parts are fields of their own, and contents of files.
_LEFT_OUT = {"address", "location", "base64", "complexvalue"}
_KINDS: Mapping[str, Any] = {
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "double": pa.float64(),
    "currency": pa.float64(),
    "percent": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", "UTC"),
}
_HINTS = {
    400: "the user of the app needs Read on the object and its fields",
    401: "the app's policies say as which user it runs: it needs API Enabled",
    403: "the user of the app needs API Enabled, and requests may be used up for today: Setup > System overview",
    404: "no such object, or the user of the app may not read it: dango source edit offers those that it may",
}
Cursor = dlt.sources.incremental[dt.datetime]


def salesforce_bulk(
    domain: str,
    client_id: str,
    client_secret: str,
    start_date: str,
    objects: Sequence[str],
    api_version: str = "v62.0",
    base_url: str | None = None,
) -> list[DltResource]:
    """A resource for each object, with every field that may be read; what has changed is merged by `Id`.

    Args:
        domain: My Domain.
        client_id: of an app that signs in by itself.
        client_secret: its secret.
        start_date: from when on records that changed are loaded.
        objects: their API names.
        api_version: such as `v62.0`.
        base_url: in place of the domain's address.

    Raises:
        VendorError: when Salesforce refuses.
        SourceError: when an object cannot be queried.
    """
    api = _api(domain, client_id, client_secret, api_version, base_url)
    return [_resource(api, name, start_date) for name in objects]


def inspect(
    domain: str,
    client_id: str,
    client_secret: str,
    api_version: str = "v62.0",
    base_url: str | None = None,
    **_: Any,
) -> Inspection:
    """Asks Salesforce which objects the user may query. Raises `VendorError`."""
    found = _api(domain, client_id, client_secret, api_version, base_url).get("sobjects")["sobjects"]
    names = (each["name"] for each in found if each["queryable"] and not each["deprecatedAndHidden"])
    return Inspection(server=f"Salesforce {api_version}", choices={"objects": tuple(names)})


def _api(domain: str, client_id: str, client_secret: str, api_version: str, base_url: str | None) -> Api:
    home = base_url or f"https://{domain}.my.salesforce.com"
    auth = OAuth2Client(f"{home}/services/oauth2/token", client_id, client_secret)
    return Api(f"{home}/services/data/{api_version}", _PER_SECOND, auth, hints=_HINTS)


def _resource(api: Api, name: str, start_date: str) -> DltResource:
    described = api.get(f"sobjects/{name}/describe")
    if not described["queryable"]:
        raise SourceError(f"`{name}` cannot be queried", loc=("salesforce_bulk", "objects"))
    kinds = {
        field["name"]: _KINDS.get(field["type"], pa.string())
        for field in described["fields"]
        if field["type"] not in _LEFT_OUT
    }
    cursor = next((each for each in _CURSORS if each in kinds), None)
    if cursor is None:
        return dlt.resource(_rows, name=name, primary_key="Id", write_disposition="replace")(api, name, kinds)
    start = dlt.sources.incremental(cursor, initial_value=moment(start_date), lag=_LAG)

    def read(changed: Any = start) -> Iterator[pa.Table]:
        yield from _rows(api, name, kinds, changed)

    return dlt.resource(read, name=name, primary_key="Id", write_disposition="merge")


def _rows(api: Api, name: str, kinds: Mapping[str, pa.DataType], changed: Cursor | None = None) -> Iterator[pa.Table]:
    where = f" WHERE {' AND '.join(_range(changed))}" if changed is not None else ""
    # With an order Salesforce would not split the job by itself. `queryAll` has what is deleted, too.
    query = f"SELECT {', '.join(kinds)} FROM {name}{where}"  # noqa: S608 - API names and times
    job = api.post("jobs/query", {"operation": "queryAll", "query": query, "contentType": "CSV"})["id"]
    done = awaited(lambda: api.get(f"jobs/query/{job}"), _is_over, f"Salesforce's job for {name}", _SECONDS, _PAUSE)
    if done["state"] != "JobComplete":
        said = done.get("errorMessage") or "no reason given"
        raise VendorError(f"Salesforce's job for {name} ends as {done['state']}: {said}", _HINTS[400])
    if done.get("numberRecordsProcessed") == 0:
        # Says which columns there are. Before rows dlt's cursor does not bear it.
        yield pa.schema(list(kinds.items())).empty_table()
    else:
        yield from _results(api, f"jobs/query/{job}/results", kinds)


def _range(changed: Cursor) -> Iterator[str]:
    yield f"{changed.cursor_path} >= {convert(changed.start_value, 'iso')}"
    if changed.end_value is not None:
        yield f"{changed.cursor_path} < {convert(changed.end_value, 'iso')}"


def _is_over(job: Mapping[str, Any]) -> bool:
    return job["state"] in ("JobComplete", "Failed", "Aborted")


def _results(api: Api, path: str, kinds: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """The parts of a result, each with a header, of which only some rows at a time are in memory."""
    part: dict[str, Any] = {"maxRecords": _RECORDS}
    while True:
        with api.stream(path, part, Accept="text/csv") as response:
            yield from _whole(response, kinds)
            locator = response.headers.get("Sforce-Locator", "null")
        if locator == "null":
            return
        part["locator"] = locator


def _whole(response: Response, kinds: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """The rows of one part. Raises `VendorError` where they are fewer than it says."""
    response.raw.decode_content = True
    count = 0
    try:
        for table in _tables(response.raw, kinds):
            count += table.num_rows
            yield table
    except (pa.ArrowInvalid, KeyError) as error:
        raise VendorError(f"a result of Salesforce's cannot be read: {error}") from error
    told = response.headers.get("Sforce-NumberOfRecords")
    if told is not None and int(told) != count:
        raise VendorError(f"a result of Salesforce's has {count} of {told} records", "sync again")


def _tables(file: Any, kinds: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    reader = csv.open_csv(
        pa.PythonFile(file, mode="r"),
        csv.ReadOptions(block_size=_BLOCK),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=dict(kinds),
            include_columns=list(kinds),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    for batch in reader:
        yield pa.Table.from_batches([batch])
