"""PayPal: an account on the loopback whose transactions are searched as the documentation has it."""

from __future__ import annotations

import base64
import datetime as dt
from decimal import Decimal

import pytest

from dango.connectors.vendors import paypal
from dango.conversions import moment
from dango.errors import TokenError, VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.vendor import Answer, vendor

NOW = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
DAY = dt.timedelta(days=1)
BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()


def refused(name, message, status):
    return Answer({"name": name, "message": message, "debug_id": "1"}, status)


class Account:
    """Its transactions; an answer is of at most so many, and of at most 31 days in the last three years."""

    def __init__(self, made=(), largest=10_000):
        self.made, self.largest = list(made), largest

    def __call__(self, asked):
        if asked.path == "/v1/oauth2/token":
            if asked.headers.get("Authorization") != BASIC:
                return Answer({"error": "invalid_client", "error_description": "Client Authentication failed"}, 401)
            return {"access_token": "granted", "expires_in": 32400}
        assert asked.headers["Authorization"] == "Bearer granted"
        begin, end = moment(asked.query["start_date"]), moment(asked.query["end_date"])
        if end - begin > 31 * DAY or begin > end or begin < NOW - 3 * 366 * DAY or begin > NOW:
            return refused("INVALID_REQUEST", "Request is not well-formed", 400)
        found = [each for each in self.made if begin <= moment(each["transaction_initiation_date"]) <= end]
        if len(found) > self.largest:
            return refused("RESULTSET_TOO_LARGE", "Result set size is greater than the maximum limit", 400)
        size, page = int(asked.query["page_size"]), int(asked.query["page"])
        rows = [{"transaction_info": each, "payer_info": {"email_address": "ann@x"}} for each in found]
        pages = -(-len(rows) // size)
        return {"transaction_details": rows[size * (page - 1) : size * page], "total_pages": pages, "page": page}


def transaction(number, at, status="S", amount="12.50"):
    return {
        "transaction_id": str(number), "transaction_status": status,
        "transaction_initiation_date": at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        "transaction_amount": {"currency_code": "EUR", "value": amount},
    }  # fmt: skip


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(paypal, "_PER_SECOND", 1000.0)


def source(server, since=NOW - 40 * DAY, secret="s3cret", **answers):
    return made(
        "paypal", client_id="me", client_secret=secret, start_date=since.date().isoformat(), base_url=server.url,
        **answers,
    )  # fmt: skip


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


def numbers(rows):
    return [int(row["transaction_id"]) for row in rows]


def test_a_transaction_is_a_row_whose_amounts_are_exact(warehouse):
    with vendor(Account([transaction(1, NOW - DAY)])) as server:
        ask = warehouse.load(source(server))
    assert ask(
        "SELECT transaction_id, transaction_initiation_date, day, transaction_amount, transaction_amount_currency,"
        " payer_info->>'email_address' FROM transactions"
    ) == [("1", NOW - DAY, (NOW - DAY).date(), Decimal("12.50"), "EUR", "ann@x")]


def test_the_second_load_replaces_the_days_whose_transactions_may_change(warehouse):
    account = Account([transaction(n, NOW - n * DAY, "P") for n in range(1, 40)])
    with vendor(account) as server:
        warehouse.load(source(server, lookback=5))
        account.made = [transaction(n, NOW - n * DAY, "S") for n in range(40)]
        ask = warehouse.load(source(server, lookback=5))
    assert ask("SELECT count(*), count(DISTINCT transaction_id) FROM transactions") == [(40, 40)]
    assert ask("SELECT max(transaction_id::int) FROM transactions WHERE transaction_status = 'S'") == [(6,)]


def test_more_than_a_month_is_asked_for_in_pieces_and_each_moment_once():
    account = Account([transaction(n, NOW - n * DAY) for n in reversed(range(100))])
    with vendor(account) as server:
        assert numbers(source(server, since=NOW - 100 * DAY)) == [*reversed(range(100))]


def test_pages_are_asked_for_to_the_last(monkeypatch):
    monkeypatch.setattr(paypal, "_PAGE", 10)
    account = Account([transaction(n, NOW - 2 * DAY) for n in range(25)])
    with vendor(account) as server:
        assert numbers(source(server, since=NOW - 3 * DAY)) == [*range(25)]


def test_too_many_transactions_are_asked_for_in_halves():
    second = dt.timedelta(seconds=1)
    account = Account([transaction(n, NOW - DAY + n * second) for n in range(60)], largest=5)
    with vendor(account) as server:
        assert numbers(source(server, since=NOW - 3 * DAY)) == [*range(60)]


def test_what_is_older_than_paypal_tells_is_not_asked_for():
    with vendor(Account([transaction(1, NOW - DAY)])) as server:
        assert numbers(source(server, since=NOW - 5 * 365 * DAY)) == [1]


def test_an_account_without_transactions_has_no_rows():
    with vendor(Account()) as server:
        assert list(source(server)) == []


def test_an_app_that_may_not_search_is_told_with_what_to_do():
    def answer(asked):
        if asked.path == "/v1/oauth2/token":
            return {"access_token": "granted"}
        return refused("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions.", 403)

    with vendor(answer) as server:
        error = failure(source(server))
    assert isinstance(error, VendorError)
    assert "403: Authorization failed due to insufficient permissions." in error.message
    assert "Transaction search" in error.hint


def test_a_secret_that_is_refused_is_told_and_not_shown():
    with vendor(Account()) as server:
        error = failure(source(server, secret="hunter22"))
    assert isinstance(error, TokenError)
    assert "invalid_client: Client Authentication failed" in error.message
    assert "hunter22" not in f"{error} {error.hint}"
