"""Kinesis by boto3, from moto's server on the loopback: shards before and after a split, each record once."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from dango.connectors.clients import kinesis
from dango.errors import SourceError
from tests.connectors.loading import Dango, Rows, Write, closed_port, loaded, source
from tests.postgres_server import free_port

REGION = "eu-central-1"
KEYS = {"access_key_id": "AKIATESTS", "secret_access_key": "secret-of-the-tests"}
ENV = {f"SOURCES__SHOP__{name.upper()}": value for name, value in KEYS.items()}
COUNT = "SELECT count(*), count(DISTINCT (shard, sequence_number)), min(value__id), max(value__id) FROM raw_shop.orders"


@contextmanager
def serving(**env: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, **env}, **quiet) as process:  # type: ignore[call-overload]
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                client(url).list_streams()
            except ClientError:
                break
            except BotoCoreError:
                time.sleep(0.1)
            else:
                break
        yield url
        process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def url(server: str) -> Iterator[str]:
    """A server without streams."""
    yield server
    for name in client(server).list_streams()["StreamNames"]:
        client(server).delete_stream(StreamName=name)


def client(url: str) -> Any:
    keys = {"aws_access_key_id": "AKIATESTS", "aws_secret_access_key": "secret-of-the-tests"}
    return boto3.client("kinesis", endpoint_url=url, region_name=REGION, **keys)


def put(url: str, stream: str, *numbers: int) -> None:
    records = [{"Data": json.dumps({"id": number}).encode(), "PartitionKey": str(number)} for number in numbers]
    assert client(url).put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0


def fields(url: str, **more: Any) -> dict[str, Any]:
    return {"region": REGION, "endpoint_url": url, **more}


def rows_of(url: str, **more: Any) -> list[dict[str, Any]]:
    return [row for resource in kinesis.streams(**fields(url), **KEYS, **more) for row in resource]


@pytest.mark.slow
def test_a_second_sync_loads_only_new_records_also_of_shards_that_were_split(
    url: str, write: Write, dango: Dango, rows: Rows
) -> None:
    client(url).create_stream(StreamName="orders", ShardCount=2)
    put(url, "orders", *range(100))
    write({"sources": source("kinesis", fields(url), ["orders"])})
    assert loaded(dango("sync", "--json", env=ENV)) == {"orders": 100}
    assert loaded(dango("sync", "--json", env=ENV)) == {}

    put(url, "orders", *range(100, 120))
    client(url).split_shard(StreamName="orders", ShardToSplit="shardId-000000000000", NewStartingHashKey="10")
    put(url, "orders", *range(120, 150))
    assert loaded(dango("sync", "--json", env=ENV)) == {"orders": 50}
    assert loaded(dango("sync", "--json", env=ENV)) == {}

    assert dango("source", "cursor", "shop", "orders", "--reset", "--yes").code == 0
    assert loaded(dango("sync", "--json", env=ENV)) == {"orders": 150}
    assert rows(COUNT) == [(150, 150, 0, 149)]


@pytest.mark.slow
def test_a_record_that_is_no_json_is_a_failed_one_and_stops_no_other(
    url: str, write: Write, dango: Dango, rows: Rows
) -> None:
    client(url).create_stream(StreamName="orders", ShardCount=1)
    put(url, "orders", 1)
    client(url).put_record(StreamName="orders", Data=b"{oh", PartitionKey="2")
    put(url, "orders", 3)
    write({"sources": source("kinesis", fields(url), ["orders"])})
    dango("sync", env=ENV)
    assert rows("SELECT value__id, partition_key FROM raw_shop.orders ORDER BY 1") == [(1, "1"), (3, "3")]
    assert rows("SELECT count(*) FROM raw_shop._dango_errors") == [(1,)]


@pytest.mark.slow
def test_a_key_that_is_refused_is_told_and_not_shown(write: Write, dango: Dango) -> None:
    with serving(INITIAL_NO_AUTH_ACTION_COUNT="0") as url:
        write({"sources": source("kinesis", fields(url), ["orders"])})
        said = dango("source", "test", "shop", env=ENV)
    assert said.code != 0
    assert "Kinesis refuses ListStreams: " in said.err + said.out
    assert KEYS["secret_access_key"] not in said.err + said.out


def test_a_stream_begins_where_it_is_told_to(url: str) -> None:
    client(url).create_stream(StreamName="orders", ShardCount=1)
    put(url, "orders", 1, 2)
    time.sleep(0.1)  # moto's clock has tenths
    assert [row["value"] for row in rows_of(url)] == [{"id": 1}, {"id": 2}]
    assert rows_of(url, start="latest") == []
    now = dt.datetime.now(dt.timezone.utc)
    assert len(rows_of(url, start="time", start_time=now - dt.timedelta(hours=1))) == 2
    assert rows_of(url, start="time", start_time=now + dt.timedelta(hours=1)) == []


def test_more_records_than_a_page_holds_are_all_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client(url).create_stream(StreamName="orders", ShardCount=1)
    put(url, "orders", *range(50))
    monkeypatch.setattr(kinesis, "RECORDS_AT_ONCE", 7)
    assert [row["value"]["id"] for row in rows_of(url)] == list(range(50))


def test_records_that_come_during_a_sync_are_the_next_ones(url: str) -> None:
    client(url).create_stream(StreamName="orders", ShardCount=1)
    put(url, "orders", 1)
    (orders,) = kinesis.streams(**fields(url), **KEYS)
    time.sleep(0.2)
    put(url, "orders", 2)
    assert [row["value"] for row in orders] in ([{"id": 1}], [])


def test_parents_come_before_their_children_in_whatever_order_they_are_listed() -> None:
    shards = {
        "c": {"ParentShardId": "a", "AdjacentParentShardId": "b"},
        "a": {"ParentShardId": "gone"},
        "b": {},
        "d": {},
    }
    assert list(kinesis._parents_first(shards)) == ["a", "b", "c", "d"]


def test_a_stream_that_was_not_loaded_for_longer_than_it_keeps_records_is_told(url: str) -> None:
    client(url).create_stream(StreamName="orders", ShardCount=1)
    now = dt.datetime.now(dt.timezone.utc)
    kinesis._require_kept(client(url), "orders", now.timestamp() - 23 * 3600, now)
    with pytest.raises(SourceError, match="keeps records for 24 hours, and was last loaded 25 hours ago"):
        kinesis._require_kept(client(url), "orders", now.timestamp() - 25 * 3600, now)


def test_what_is_wrong_with_a_name_or_an_address_is_told(url: str) -> None:
    client(url).create_stream(StreamName="orders", ShardCount=1)
    with pytest.raises(SourceError, match=r"there is no stream `order` \(did you mean `orders`\?\)"):
        kinesis.streams(**fields(url), **KEYS, stream_names=["order"])
    found = kinesis.inspect(**fields(url), **KEYS)
    assert (found.server, [table.name for table in found.tables]) == ("Kinesis, eu-central-1", ["orders"])
    with kinesis.Account(REGION, "a", "b", f"http://127.0.0.1:{closed_port()}").opened() as closed:
        assert closed.meta.region_name == REGION
