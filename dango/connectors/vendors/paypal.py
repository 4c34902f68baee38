"""Transactions of a PayPal account, by day: PayPal takes 31 days and ten thousand transactions at once, and no more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from dlt.sources import DltResource
from requests import Response

from dango.connectors.oauth import OAuth2Client
from dango.connectors.vendors.api import Api
from dango.connectors.vendors.reports import Cursor, by_day, to_today
from dango.conversions import convert, moment

_PER_SECOND = 2.0
_PAGE = 500
_DAYS = 30
# PayPal answers for three years.
_KEPT = dt.timedelta(days=3 * 365)
_SECOND = dt.timedelta(seconds=1)
_TOO_LARGE = "RESULTSET_TOO_LARGE"
_HINTS = {
    403: "My Apps & Credentials > the app > Features: Transaction search; it takes up to nine hours until it holds",
}
_TYPES: Any = {name: {"data_type": "timestamp"} for name in ("transaction_initiation_date", "transaction_updated_date")}

Moments = tuple[dt.datetime, dt.datetime]


def paypal(
    client_id: str,
    client_secret: str,
    start_date: str,
    lookback: int = 30,
    base_url: str = "https://api-m.paypal.com",
) -> DltResource:
    """Transactions, each day of which is read whole and takes the place of what was loaded of it.

    Args:
        client_id: of an app of the account's.
        client_secret: its secret.
        start_date: the first day.
        lookback: so many days before the newest one are read again with each sync: a transaction may stay pending.
        base_url: of the API; the sandbox has another.
    """
    auth = OAuth2Client(f"{base_url}/v1/oauth2/token", client_id, client_secret, basic=True)
    api = Api(base_url, _PER_SECOND, auth, hints=_HINTS)
    read = partial(_transactions, api)
    return by_day("transactions", "day", start_date, lookback, read, columns=_TYPES, max_table_nesting=0)


def _transactions(api: Api, cursor: Cursor) -> Iterator[list[dict[str, Any]]]:
    now = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    for first, last in to_today(cursor, _DAYS):
        begin = max(moment(first), moment((now - _KEPT).date()))
        end = moment(last) + dt.timedelta(days=1) - _SECOND if last else now
        if begin <= end:
            yield from _between(api, (begin, end))


def _between(api: Api, between: Moments) -> Iterator[list[dict[str, Any]]]:
    """The transactions of some time; where these are too many, of each half of it."""
    begin, end = between
    asked = {
        "start_date": convert(begin, "iso"), "end_date": convert(end, "iso"), "fields": "all", "page_size": _PAGE
    }  # fmt: skip
    page, pages = 1, 1
    while page <= pages:
        answer = api.get("v1/reporting/transactions", {**asked, "page": page}, _is_too_large if begin < end else None)
        if answer.get("name") == _TOO_LARGE:
            middle = begin + (end - begin) // 2 // _SECOND * _SECOND
            yield from _between(api, (begin, middle))
            yield from _between(api, (middle + _SECOND, end))
            return
        pages = answer["total_pages"]
        yield list(map(_row, answer["transaction_details"]))
        page += 1


def _is_too_large(response: Response) -> bool:
    if response.status_code != 400:
        return False
    try:
        return bool(response.json().get("name") == _TOO_LARGE)
    except ValueError:
        return False


def _row(details: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a transaction as columns, and of its payer, cart and shipping as they are."""
    said = {key: value for name, value in details["transaction_info"].items() for key, value in _columns(name, value)}
    others = {name: value for name, value in details.items() if name != "transaction_info"}
    return {**said, **others, "day": moment(said["transaction_initiation_date"]).date()}


def _columns(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value.keys() == {"currency_code", "value"}:
        yield name, Decimal(value["value"])
        yield f"{name}_currency", value["currency_code"]
    else:
        yield name, value
