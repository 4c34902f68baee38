"""MongoDB by its own driver: what documents become, what a second sync asks for, what is told when it fails."""

from __future__ import annotations

import datetime as dt
import ssl
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from dango.connectors.clients import mongodb
from dango.errors import SourceError
from tests.certificates import certificate
from tests.connectors.loading import Dango, Rows, Write, closed_port, loaded, source
from tests.connectors.mongo_server import serving

PASSWORD = "pw-of-the-tests"
CURSOR = {"orders": {"cursor": {"field": "at"}, "write_disposition": "merge"}}


def order(number: int) -> dict[str, Any]:
    return {"_id": ObjectId(), "n": number, "at": dt.datetime(2024, 1, 1) + dt.timedelta(hours=number)}


def secret(url: str) -> dict[str, str]:
    return {"SOURCES__SHOP__URL": url.replace("//", f"//dango:{PASSWORD}@")}


@pytest.mark.slow
def test_a_second_sync_asks_for_what_is_new_and_keeps_one_row_a_document(
    write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": source("mongodb", {"database": "shop"}, CURSOR)})
    with serving({"orders": [order(number) for number in range(2500)]}, password=PASSWORD) as server:
        env = secret(server.url)
        assert loaded(dango("sync", "--json", env=env)) == {"orders": 2500}
        assert server.finds("orders") == [{}]

        server.stored.shop.orders.update_one({"n": 7}, {"$set": {"n": -7, "at": dt.datetime(2025, 1, 1)}})
        server.stored.shop.orders.insert_one(order(2500))
        assert loaded(dango("sync", "--json", env=env)) == {"orders": 2}
        *_, asked = server.finds("orders")
        assert asked == {"$and": [{"at": {"$not": {"$lt": dt.datetime(2024, 4, 14, 3)}}}]}
    assert rows("SELECT count(*), count(DISTINCT _id), min(n), max(n) FROM raw_shop.orders") == [(2501, 2501, -7, 2500)]


@pytest.mark.slow
def test_values_that_only_bson_has_arrive_as_what_they_are(write: Write, dango: Dango, rows: Rows) -> None:
    code, key = uuid.uuid4(), ObjectId()
    document = {
        "_id": key, "price": Decimal128("12.340"), "big": Int64(2**62), "bytes": b"\0\xff",
        "code": Binary.from_uuid(code), "moment": dt.datetime(2024, 1, 2, 3, 4, 5, 678000),
        "clock": Timestamp(86400, 1), "like": Regex("^a"),
        "least": MinKey(), "lines": [{"sku": ObjectId(), "price": Decimal128("0.1")}], "set": {"$x": 2},
    }  # fmt: skip
    write({"sources": source("mongodb", {"database": "shop"})})
    with serving({"types": [document]}) as server:
        assert dango("sync", env={"SOURCES__SHOP__URL": server.url}).code == 0
    assert rows(
        "SELECT _id, price, big, bytes, code, epoch_ms(moment), epoch(clock), \"like\", least, set___x, typeof(price)"
        " FROM raw_shop.types"
    ) == [
        (
            str(key), Decimal("12.34"), 2**62, b"\0\xff", str(code), 1704164645678, 86400.0, "^a", "MinKey", 2,
            "DECIMAL(38,9)",
        )
    ]  # fmt: skip
    assert rows("SELECT price FROM raw_shop.types__lines") == [(Decimal("0.1"),)]


@pytest.mark.slow
def test_after_a_sync_that_failed_in_the_middle_the_next_one_loads_each_document_once(
    write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": source("mongodb", {"database": "shop"}, CURSOR)})
    with serving({"orders": [order(number) for number in range(3000)]}) as server:
        env = {"SOURCES__SHOP__URL": server.url}
        server.batches_left = 2
        failed = dango("sync", env=env)
        assert failed.code == 1
        assert "the database `shop`: interrupted at shutdown" in failed.err

        server.batches_left = None
        assert loaded(dango("sync", "--json", env=env)) == {"orders": 3000}
        server.stored.shop.orders.insert_one(order(3000))
        assert loaded(dango("sync", "--json", env=env)) == {"orders": 1}
    assert rows("SELECT count(*), count(DISTINCT _id) FROM raw_shop.orders") == [(3001, 3001)]


@pytest.mark.slow
def test_a_wrong_password_and_a_collection_that_is_not_there_are_told_without_the_password(
    write: Write, dango: Dango
) -> None:
    write({"sources": source("mongodb", {"database": "shop"}, ["order"])})
    with serving({"orders": [order(1)]}, password=PASSWORD) as server:
        said = dango("source", "test", "shop", env=secret(server.url))
        assert said.code != 0
        assert "there is no collection `order` (did you mean `orders`?)" in said.err + said.out

        wrong = {"SOURCES__SHOP__URL": secret(server.url)["SOURCES__SHOP__URL"].replace(PASSWORD, "an-old-password")}
        refused = dango("sync", env=wrong)
    assert refused.code == 1
    assert "MongoDB refuses the database `shop`: Authentication failed." in refused.err
    assert "authSource" in refused.err
    assert "an-old-password" not in refused.err + refused.out


def test_a_server_that_does_not_answer_is_named_with_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongodb, "CONNECT_SECONDS", 0.3)
    port = closed_port()
    with pytest.raises(SourceError, match=f"no MongoDB server answers: 127.0.0.1:{port}: .*refused"):
        mongodb.collections(f"mongodb://127.0.0.1:{port}/", "shop")


@pytest.mark.parametrize("url", ["postgres://host/shop", "mongodb://user:p@ss:w@host/", "mongodb://127.0.0.1:1/"])
def test_a_url_that_cannot_be_used_is_told_with_one_that_can(url: str) -> None:
    with pytest.raises(SourceError, match="MongoDB's URL cannot be used") as told:
        mongodb.collections(url)
    assert "mongodb+srv://user:password@host" in told.value.hint


def test_a_certificate_authority_of_ones_own_is_needed_and_enough(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(crt, key)
    with serving({"orders": [order(1)]}, tls=tls) as server:
        (orders,) = mongodb.collections(f"{server.url}?tls=true", "shop", tls_ca_file=str(crt))
        assert [row["n"] for row in orders] == [1]


def test_a_collection_says_its_fields_and_what_may_be_its_cursor() -> None:
    documents = [{**order(number), "updated_at": dt.datetime(2024, 1, 1), "tags": ["a"]} for number in range(3)]
    with serving({"orders": documents}) as server:
        found = mongodb.inspect(server.url, "shop")
    (table,) = found.tables
    assert (found.server, found.choices["databases"]) == ("MongoDB 8.0.0", ("shop",))
    assert (table.primary_key, table.cursors, table.rows) == (("_id",), ("updated_at", "at"), 3)
    assert table.proposals[0]["cursor"] == {"field": "updated_at"}


def test_fields_that_are_left_out_are_not_asked_for() -> None:
    with serving({"people": [{"n": 1, "mail": "a@b.example", "home": {"town": "X", "street": "Y"}}]}) as server:
        (people,) = mongodb.collections(server.url, "shop", leave_out=["mail", "home.street"])
        (row,) = people
        *_, asked = (command for command in server.asked if "find" in command)
    assert (row["home"], row.get("mail")) == ({"town": "X"}, None)
    assert asked["projection"].items() >= {"mail": 0, "home.street": 0}.items()


def test_a_decimal_that_no_column_has_room_for_stops_the_sync_and_is_told() -> None:
    with serving({"odd": [{"price": Decimal128("NaN")}]}) as server:
        (odd,) = mongodb.collections(server.url, "shop")
        with pytest.raises(Exception, match="the decimal NaN, for which no column has room"):
            list(odd)


def test_an_identifier_as_cursor_is_compared_as_what_it_is() -> None:
    documents = [{"_id": ObjectId(f"{number:024x}")} for number in range(10)]
    with serving({"orders": documents}) as server:
        (orders,) = mongodb.collections(server.url, "shop")
        orders.apply_hints(incremental=mongodb.dlt.sources.incremental("_id", initial_value=f"{8:024x}"))
        assert len(list(orders)) == 2
        assert server.finds("orders")[-1] == {"$and": [{"_id": {"$not": {"$lt": ObjectId(f"{8:024x}")}}}]}


def test_a_year_that_no_calendar_here_has_is_kept_as_its_milliseconds() -> None:
    with serving({"old": [{"at": DatetimeMS(-(10**15))}]}) as server:
        (old,) = mongodb.collections(server.url, "shop")
        assert [row["at"] for row in old] == [-(10**15)]
