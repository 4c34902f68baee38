"""Topics of Kafka: from where the last sync stood to where they ended when this one began.

The position is kept in dlt's state, which is loaded together with the messages; Kafka's own commits are not used.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import dlt
from confluent_kafka import (
    OFFSET_END,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from dlt.sources import DltResource

from dango.connectors.clients.payloads import READ, Form, Start, require_time, shown
from dango.connectors.clients.turns import in_turn
from dango.connectors.places import existing
from dango.errors import SourceError, near
from dango.failed import Failed
from dango.probe import Inspection, Table

CONNECT_SECONDS = 10
SILENT_SECONDS = 60
"""How long a partition that has more may give nothing."""
MESSAGES_AT_ONCE = 1000
KEY = ("topic", "partition", "offset")
COLUMNS = (*KEY, "timestamp", "key", "value", "headers")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the brokers are, and what librdkafka is told of them."""

    servers: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @contextmanager
    def opened(self) -> Iterator[Consumer]:
        """A consumer that nothing is assigned to. Raises `SourceError` for what goes wrong with it."""
        said: list[KafkaError] = []
        consumer: Consumer | None = None
        try:
            consumer = Consumer({**self.settings, **self._own(said.append)})
            yield consumer
        except KafkaException as error:
            if consumer is not None:
                consumer.poll(0)  # what librdkafka had to say in the meantime
            raise _told(self.servers, [error.args[0], *said]) from error
        finally:
            if consumer is not None:
                consumer.close()

    def _own(self, heard: Callable[[KafkaError], None]) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.servers,
            "client.id": "dango",
            "group.id": "dango",  # librdkafka wants one; nobody joins it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "queued.max.messages.kbytes": 16384,
            "log_level": 0,
            "error_cb": heard,
        }


def _told(servers: str, errors: list[KafkaError]) -> SourceError:
    """An error that says more than that a broker does not answer, where there is one."""
    refused = next((error for error in errors if error.code() == KafkaError._AUTHENTICATION), None)
    if refused is not None:
        return SourceError(
            f"Kafka at {servers} refuses the login: {refused.str()}",
            "are `user`, `password` and `mechanism` those of the cluster?",
        )
    general = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
    if errors[0].code() not in general:
        return SourceError(f"Kafka at {servers}: {errors[0].str()}")
    said = next((error for error in errors[1:] if error.code() != KafkaError._ALL_BROKERS_DOWN), errors[0])
    return SourceError(
        f"Kafka at {servers} does not answer: {said.str()}",
        "are the addresses right, and does `security` say what the listener speaks?",
    )


def topics(
    servers: str,
    topic_names: list[str] | None = None,
    value_format: Form = "json",
    key_format: Form = "text",
    start: Start = "earliest",
    start_time: dt.datetime | None = None,
    settings: Mapping[str, Any] | None = None,
    ca_file: str | None = None,
) -> list[DltResource]:
    """A resource for each topic: a row for each message, by topic, partition and offset.

    Args:
        servers: brokers to begin with, `host:port,host:port`.
        topic_names: which; without them all but Kafka's own.
        value_format: what the values are. One that is not is a failed record. A tombstone's value is null.
        key_format: what the keys are.
        start: where a topic begins of which nothing was loaded; partitions that come later begin at their beginning.
        start_time: of the first message, where `start` is `time`.
        settings: what else librdkafka is told, by its own names.
        ca_file: the certificate authority of the brokers' certificates.

    Raises:
        SourceError: when the cluster cannot be reached or refuses, or there is no topic of a name.
    """
    cluster = _cluster(servers, settings, ca_file)
    with cluster.opened() as consumer:
        names = list(_partitions(consumer))
    for name in topic_names or ():
        if name not in names:
            raise SourceError(
                f"there is no topic `{name}`{near(name, names)} in Kafka at {servers}",
                f"its topics: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}",
                loc=("resources", name),
            )
    begin = _beginning(start, start_time)
    read = Read(cluster, Reading(key_format, value_format), begin, threading.Lock())
    return [
        dlt.resource(
            _messages,
            name=name,
            primary_key=KEY,
            write_disposition="merge",
            columns={"headers": {"data_type": "json"}},
        )(name, read)
        for name in topic_names or names
    ]


def _cluster(servers: str, settings: Mapping[str, Any] | None, ca_file: str | None) -> Cluster:
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    if ca_file:
        given["ssl.ca.location"] = str(existing(ca_file, "certificate"))
    return Cluster(servers, given)


def _beginning(start: Start, start_time: dt.datetime | None) -> Start | int:
    require_time(start, start_time)
    return int(start_time.timestamp() * 1000) if start == "time" and start_time else start


def _partitions(consumer: Consumer) -> dict[str, list[int]]:
    """The partitions of each topic that is not Kafka's own."""
    found = consumer.list_topics(timeout=CONNECT_SECONDS).topics
    return {name: sorted(found[name].partitions) for name in sorted(found) if not name.startswith("__")}


@dataclass(frozen=True, slots=True)
class Reading:
    """What keys and values are."""

    key: Form
    value: Form

    def row(self, message: Message[Any, Any]) -> dict[str, Any] | Failed:
        """A message as a row; what cannot be read is a failed record."""
        kind, milliseconds = message.timestamp()
        place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
        try:
            return {
                **place,
                "timestamp": None if kind == TIMESTAMP_NOT_AVAILABLE else _moment(milliseconds),
                "key": READ[self.key](message.key()),
                "value": READ[self.value](message.value()),
                "headers": [{"key": name, "value": shown(value)} for name, value in _headers(message)],
            }
        except ValueError as error:
            entity = "/".join(str(part) for part in place.values())
            return Failed({**place, "value": shown(message.value())}, error, entity)


def _headers(message: Message[Any, Any]) -> list[tuple[str, Any]]:
    return cast(list[tuple[str, Any]], message.headers() or [])


def _moment(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.timezone.utc)


@dataclass(frozen=True, slots=True)
class Read:
    """How topics are read."""

    cluster: Cluster
    reading: Reading
    begin: Start | int
    """An integer is a time in milliseconds."""
    turn: threading.Lock


def _messages(topic: str, read: Read) -> Iterator[list[dict[str, Any] | Failed] | None]:
    # Each consumer has threads and buffers of its own.
    yield from in_turn(read.turn, _rows(topic, read))


def _rows(topic: str, read: Read) -> Iterator[list[dict[str, Any] | Failed]]:
    with read.cluster.opened() as consumer:
        offsets: dict[str, int] = dlt.current.resource_state().setdefault("offsets", {})
        # A table that is written anew wants all messages, loaded before or not.
        known = {} if dlt.current.resource().write_disposition == "replace" else dict(offsets)
        stretches = list(_stretches(consumer, topic, known, read.begin))
        for page in _pages(consumer, stretches):
            yield [read.reading.row(message) for message in page]
        # Of control records and of what compaction took away there are offsets, and no messages.
        offsets.update({str(stretch.partition): stretch.end for stretch in stretches})


@dataclass(frozen=True, slots=True)
class Stretch:
    """What of a partition is read: from `start` up to `end`, which is not in it."""

    topic: str
    partition: int
    start: int
    end: int


def _stretches(consumer: Consumer, topic: str, known: Mapping[str, int], begin: Start | int) -> Iterator[Stretch]:
    for partition in _partitions(consumer)[topic]:
        place = TopicPartition(topic, partition)
        low, high = consumer.get_watermark_offsets(place, timeout=CONNECT_SECONDS)
        if str(partition) in known:
            start = _gone_on(topic, partition, known[str(partition)], low, high)
        elif known or begin == "earliest":
            start = low  # all of a partition that was added is new
        elif begin == "latest":
            start = high
        else:
            start = _since(consumer, topic, partition, int(begin), high)
        yield Stretch(topic, partition, start, high)


def _gone_on(topic: str, partition: int, offset: int, low: int, high: int) -> int:
    """The offset, if the partition still has it."""
    if low <= offset <= high:
        return offset
    lost = (
        f"messages {offset} to {low - 1} were deleted before they were loaded"
        if offset < low
        else f"it ends at {high}, and was loaded up to {offset}: the topic was made anew"
    )
    raise SourceError(
        f"partition {partition} of the topic `{topic}`: {lost}",
        f"to go on with what there is, which doubles no row: dango source cursor NAME {topic} --reset",
        loc=("resources", topic),
    )


def _since(consumer: Consumer, topic: str, partition: int, milliseconds: int, high: int) -> int:
    (found,) = consumer.offsets_for_times([TopicPartition(topic, partition, milliseconds)], timeout=CONNECT_SECONDS)
    return high if found.offset == OFFSET_END else int(found.offset)


def _pages(consumer: Consumer, stretches: list[Stretch]) -> Iterator[list[Message[Any, Any]]]:
    """The messages of the stretches, in the order of each partition."""
    left = {stretch.partition: stretch for stretch in stretches if stretch.start < stretch.end}
    consumer.assign([TopicPartition(each.topic, each.partition, each.start) for each in left.values()])
    heard = time.monotonic()
    while left:
        page: list[Message[Any, Any]] = []
        for message in consumer.consume(MESSAGES_AT_ONCE, timeout=1):
            stretch = left.get(int(message.partition() or 0))
            heard = time.monotonic()
            if stretch is None:
                continue
            if _at_end(message) or message.offset() >= stretch.end - 1:  # type: ignore[operator]
                del left[stretch.partition]
                consumer.pause([TopicPartition(stretch.topic, stretch.partition)])
            if message.error() is None and message.offset() < stretch.end:  # type: ignore[operator]
                page.append(message)
        if page:
            yield page
            heard = time.monotonic()
        if left and time.monotonic() - heard > SILENT_SECONDS:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def _at_end(message: Message[Any, Any]) -> bool:
    """Whether this is no message but the word that there is none further. Raises for any other word."""
    error = message.error()
    if error is None:
        return False
    if error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return True


def inspect(
    servers: str, settings: Mapping[str, Any] | None = None, ca_file: str | None = None, **_: Any
) -> Inspection:
    """Asks a cluster for its topics. Raises `SourceError`."""
    with _cluster(servers, settings, ca_file).opened() as consumer:
        brokers = len(consumer.list_topics(timeout=CONNECT_SECONDS).brokers)
        tables = [_table(consumer, name, parts) for name, parts in _partitions(consumer).items()]
    return Inspection(
        server=f"Kafka, {brokers} broker{'' if brokers == 1 else 's'}",
        problems=() if tables else ("there are no topics that the user may see",),
        tables=tuple(tables),
    )


def _table(consumer: Consumer, topic: str, partitions: list[int]) -> Table:
    marks = [
        consumer.get_watermark_offsets(TopicPartition(topic, each), timeout=CONNECT_SECONDS) for each in partitions
    ]
    return Table(topic, KEY, rows=sum(high - low for low, high in marks), columns=COLUMNS, resumes=True)
