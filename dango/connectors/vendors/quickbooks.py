"""QuickBooks Online: a company's books, by queries whose pages are a part of their text."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import dlt
from dlt.sources import DltResource

from dango.connectors.oauth import OAuth2Refresh
from dango.connectors.vendors.api import Api
from dango.conversions import convert, moment

_PER_SECOND = 5.0
_PAGE = 1000
_VERSION = "75"
# The clocks of Intuit's machines, and changes that are under way.
_LAG = 300.0
_CHANGED = "MetaData.LastUpdatedTime"
_HINTS = {
    401: "authorise anew, and put the new refresh token into .dlt/secrets.toml",
    403: "does the number belong to the company for which the app was authorised?",
}

ENTITIES: Mapping[str, str] = {
    "accounts": "Account", "bill_payments": "BillPayment", "bills": "Bill", "classes": "Class",
    "credit_memos": "CreditMemo", "customers": "Customer", "departments": "Department", "deposits": "Deposit",
    "employees": "Employee", "estimates": "Estimate", "invoices": "Invoice", "items": "Item",
    "journal_entries": "JournalEntry", "payment_methods": "PaymentMethod", "payments": "Payment",
    "purchase_orders": "PurchaseOrder", "purchases": "Purchase", "refund_receipts": "RefundReceipt",
    "sales_receipts": "SalesReceipt", "tax_codes": "TaxCode", "tax_rates": "TaxRate", "terms": "Term",
    "time_activities": "TimeActivity", "transfers": "Transfer", "vendor_credits": "VendorCredit", "vendors": "Vendor",
}  # fmt: skip
"""What there is, by the name of its table."""
# Without being asked for them, a query leaves out those that are not in use any more.
_LISTS = {
    "accounts", "classes", "customers", "departments", "employees", "items", "payment_methods", "tax_codes", "terms",
    "vendors",
}  # fmt: skip

Cursor = dlt.sources.incremental[dt.datetime]


def quickbooks(
    source: str,
    company_id: str,
    client_id: str,
    client_secret: str,
    refresh_token: str,
    start_date: str,
    base_url: str = "https://quickbooks.api.intuit.com",
    token_url: str = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
) -> list[DltResource]:
    """A resource for each kind of entry; what has changed is merged by its `Id`.

    Args:
        source: the source's name; the newest refresh token is kept under it.
        company_id: the number of the company (realm).
        client_id: of the app.
        client_secret: its secret.
        refresh_token: of whoever authorised the app; Intuit replaces it from time to time.
        start_date: entries that changed earlier are not loaded.
        base_url: of the API; the sandbox has another.
        token_url: where tokens are given out.
    """
    auth = OAuth2Refresh(
        source,
        token_url=token_url,
        client_id=client_id,
        client_secret=client_secret,
        refresh_token=refresh_token,
        send="basic",
    )
    api = Api(f"{base_url}/v3/company/{company_id}", _PER_SECOND, auth, {"Accept": "application/json"}, _HINTS)
    return [_resource(api, name, start_date) for name in ENTITIES]


def _resource(api: Api, name: str, start_date: str) -> DltResource:
    start = dlt.sources.incremental("updated_at", initial_value=moment(start_date), lag=_LAG)

    def read(changed: Any = start) -> Iterator[list[dict[str, Any]]]:
        return _rows(api, name, changed)

    return dlt.resource(read, name=name, primary_key="Id", write_disposition="merge", max_table_nesting=1)


def _rows(api: Api, name: str, changed: Cursor) -> Iterator[list[dict[str, Any]]]:
    conditions = [f"{_CHANGED} >= '{convert(changed.start_value, 'iso')}'"]
    if changed.end_value is not None:
        conditions.append(f"{_CHANGED} < '{convert(changed.end_value, 'iso')}'")
    if name in _LISTS:
        conditions.append("Active IN (true, false)")
    entity = ENTITIES[name]
    # By their number: by the time of their change, one that changes meanwhile would move the others to another page.
    query = f"SELECT * FROM {entity} WHERE {' AND '.join(conditions)} ORDERBY Id"  # noqa: S608 - known names and times
    position = 1
    while True:
        asked = {"query": f"{query} STARTPOSITION {position} MAXRESULTS {_PAGE}", "minorversion": _VERSION}
        page = api.get("query", asked)["QueryResponse"].get(entity, [])
        yield [{**row, "updated_at": moment(row["MetaData"]["LastUpdatedTime"])} for row in page]
        if len(page) < _PAGE:
            return
        position += _PAGE
