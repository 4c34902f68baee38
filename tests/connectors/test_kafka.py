"""Kafka by librdkafka, against brokers in processes of their own: each message once, and what is lost is told."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from dango import wizard
from dango.connectors.clients import kafka
from dango.errors import SourceError
from tests.connectors.kafka_brokers import PARTITIONS, mock_cluster, produce, tansu
from tests.connectors.loading import Dango, Rows, Write, closed_port, loaded, source

PLAIN = {"security": "PLAINTEXT"}
COUNT = 'SELECT count(*), count(DISTINCT (topic, "partition", "offset")) FROM raw_shop.orders'


@pytest.fixture
def servers() -> Iterator[str]:
    with mock_cluster() as servers:
        yield servers


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"value": json.dumps({"id": number}), "key": str(number), **more}


@pytest.mark.slow
def test_a_second_sync_loads_only_new_messages_and_what_is_read_again_takes_its_place(
    servers: str, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": source("kafka", {"servers": servers, **PLAIN}, ["orders"])})
    produce(servers, "orders", *(order(number) for number in range(2500)))
    assert loaded(dango("sync", "--json")) == {"orders": 2500}
    assert loaded(dango("sync", "--json")) == {}

    produce(servers, "orders", *(order(number) for number in range(2500, 2510)))
    assert loaded(dango("sync", "--json")) == {"orders": 10}

    assert dango("source", "cursor", "shop", "orders", "--reset", "--yes").code == 0
    assert loaded(dango("sync", "--json")) == {"orders": 2510}
    assert rows(COUNT) == [(2510, 2510)]
    assert rows('SELECT min(value__id), max(value__id), max("key") FROM raw_shop.orders') == [(0, 2509, "999")]


@pytest.mark.slow
def test_a_message_arrives_with_its_place_time_headers_and_a_tombstone_without_a_value(
    servers: str, write: Write, dango: Dango, rows: Rows
) -> None:
    moment = int(dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc).timestamp() * 1000)
    headers = [("kind", b"new"), ("kind", b"\xff"), ("none", None)]
    produce(servers, "orders", order(1, partition=2, timestamp=moment, headers=headers))
    produce(servers, "orders", {"value": None, "key": "1", "partition": 2})
    write({"sources": source("kafka", {"servers": servers, **PLAIN}, ["orders"])})
    assert dango("sync").code == 0
    first, second = rows(
        'SELECT topic, "partition", "offset", epoch_ms("timestamp"), "key", value__id, headers FROM raw_shop.orders'
        ' ORDER BY "offset"'
    )
    assert first[:6] == ("orders", 2, 0, moment, "1", 1)
    assert json.loads(first[6]) == [
        {"key": "kind", "value": "new"}, {"key": "kind", "value": "\\xff"}, {"key": "none", "value": None}
    ]  # fmt: skip
    assert second[:3] + second[4:6] == ("orders", 2, 1, "1", None)


@pytest.mark.slow
def test_a_value_that_is_no_json_is_a_failed_record_and_stops_no_other(
    servers: str, write: Write, dango: Dango, rows: Rows
) -> None:
    produce(servers, "orders", order(1, partition=0), {"value": b"{oh", "partition": 0}, order(3, partition=0))
    write({"sources": source("kafka", {"servers": servers, **PLAIN}, ["orders"])})
    said = dango("sync", "--json")
    assert "orders/0/1" in str(rows("SELECT * FROM raw_shop._dango_errors")), said.err
    assert rows("SELECT value__id FROM raw_shop.orders ORDER BY 1") == [(1,), (3,)]


@pytest.mark.slow
def test_messages_that_were_deleted_before_they_were_loaded_are_told_and_reset_goes_on(
    servers: str, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": source("kafka", {"servers": servers, "value_format": "bytes", **PLAIN}, ["logs"])})
    produce(servers, "logs", {"value": b"first", "partition": 0})
    assert loaded(dango("sync", "--json")) == {"logs": 1}

    # More than the broker keeps of a partition: its oldest batches go.
    for _ in range(8):
        produce(servers, "logs", *({"value": b"x" * 20_000, "partition": 0} for _ in range(45)))
    failed = dango("sync")
    assert failed.code == 1
    assert "partition 0 of the topic `logs`: messages 1 to " in failed.err
    assert "were deleted before they were loaded" in failed.err

    assert dango("source", "cursor", "shop", "logs", "--reset", "--yes").code == 0
    assert dango("sync").code == 0
    assert rows('SELECT count(*) > 100, max("offset") FROM raw_shop.logs') == [(True, 360)]


@pytest.mark.slow
def test_a_login_that_is_refused_is_told_without_the_password(write: Write, dango: Dango) -> None:
    with tansu("--authentication") as servers:
        fields = {"servers": servers, "security": "SASL_PLAINTEXT", "mechanism": "SCRAM-SHA-512", "user": "ann"}
        write({"sources": source("kafka", fields, ["orders"])})
        said = dango("source", "test", "shop", env={"SOURCES__SHOP__PASSWORD": "secret-of-ann"})
    assert said.code != 0
    assert f"Kafka at {servers} refuses the login" in said.err + said.out
    assert "secret-of-ann" not in said.err + said.out


def rows_of(servers: str, topic: str, **arguments: Any) -> list[dict[str, Any]]:
    found = {resource.name: resource for resource in kafka.topics(servers, [topic], **arguments)}
    return list(found[topic])


def test_a_topic_begins_where_it_is_told_to(servers: str) -> None:
    produce(servers, "orders", order(1, partition=0), order(2, partition=1))
    assert len(rows_of(servers, "orders")) == 2
    assert rows_of(servers, "orders", start="latest") == []
    later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)
    assert rows_of(servers, "orders", start="time", start_time=later) == []
    with pytest.raises(SourceError, match="needs a `start_time`"):
        kafka.topics(servers, ["orders"], start="time")


def test_several_topics_are_read_one_after_the_other_and_all_of_each(servers: str) -> None:
    for topic in ("a", "b", "c"):
        produce(servers, topic, *(order(number) for number in range(1200)))
    found = kafka.topics(servers)
    assert [resource.name for resource in found] == ["a", "b", "c"]
    source = kafka.dlt.source(lambda: found, name="x")()
    counted = [row["topic"] for row in source]
    assert {topic: counted.count(topic) for topic in "abc"} == {"a": 1200, "b": 1200, "c": 1200}


def committed(servers: str, topic: str, *messages: dict[str, Any]) -> None:
    """Writes messages in a transaction, whose mark comes behind them."""
    producer = Producer({"bootstrap.servers": servers, "transactional.id": "t", "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    for message in messages:
        producer.produce(topic, **message)
    producer.commit_transaction(30)


def test_messages_that_come_during_a_sync_are_the_next_ones(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    committed(servers, "orders", *(order(number, partition=0) for number in range(10)))
    pages = kafka._pages

    def late(consumer: Any, stretches: list[kafka.Stretch]) -> Any:
        produce(servers, "orders", *(order(number, partition=0) for number in range(10, 20)))
        yield from pages(consumer, stretches)

    monkeypatch.setattr(kafka, "_pages", late)
    assert len(rows_of(servers, "orders")) == 10


def test_a_partition_that_was_added_is_read_from_its_beginning_and_a_topic_made_anew_is_told(servers: str) -> None:
    produce(servers, "orders", *(order(number, partition=number % PARTITIONS) for number in range(8)))
    with kafka.Cluster(servers).opened() as consumer:
        known = {"0": 1, "1": 2, "2": 0}
        starts = {each.partition: each.start for each in kafka._stretches(consumer, "orders", known, "latest")}
        assert starts == {0: 1, 1: 2, 2: 0, 3: 0}
        with pytest.raises(SourceError, match="ends at 2, and was loaded up to 7: the topic was made anew"):
            list(kafka._stretches(consumer, "orders", {"0": 7}, "latest"))


def test_what_ends_with_the_marks_of_a_transaction_ends(servers: str) -> None:
    committed(servers, "orders", order(1, partition=0))
    assert [row["value"] for row in rows_of(servers, "orders")] == [{"id": 1}]


def test_a_topic_that_is_not_there_is_told_with_one_that_is(servers: str) -> None:
    produce(servers, "orders", order(1))
    with pytest.raises(SourceError, match=r"there is no topic `order` \(did you mean `orders`\?\)"):
        kafka.topics(servers, ["order"])


def test_brokers_that_do_not_answer_are_named_with_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "CONNECT_SECONDS", 2)
    port = closed_port()
    with pytest.raises(SourceError, match=f"Kafka at 127.0.0.1:{port} does not answer: .*refused"):
        kafka.topics(f"127.0.0.1:{port}")


def test_a_topic_says_how_much_it_holds_and_proposes_what_is_new(servers: str) -> None:
    produce(servers, "orders", *(order(number) for number in range(5)))
    (table,) = kafka.inspect(servers).tables
    assert (table.name, table.primary_key, table.rows) == ("orders", ("topic", "partition", "offset"), 5)
    assert wizard.said(table.proposals[0]) == "what is new"
