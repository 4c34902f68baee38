"""The machine's and the network's faults: how a sync ends, what it says, and that nothing is lost by it.

Each fault befalls the sync of a source that has a batch loaded and another one to give. What it says is a row of
the table in docs/RELIABILITY.md. Then the fault is over, and the next sync brings the rest.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Said, native, sources
from tests.connectors import vendor as vendors
from tests.faults import table

SHOP = """\
import os, signal, time

import dlt
from dlt.sources.helpers.rest_client import RESTClient


@dlt.resource(primary_key="id", write_disposition="merge")
def orders(url: str, id=dlt.sources.incremental("id", initial_value=0)):
    fault = os.environ.get("FAULT", "")
    answer = RESTClient(url).get("orders", params={"after": id.last_value})
    answer.raise_for_status()
    rows = answer.json()
    if fault == "memory":
        rows += [{"id": 100, "text": "x" * 4_000_000_000}]
    if fault == "files":
        held = [open(os.devnull) for _ in range(10_000)]
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "signal":
        open("there", "w").close()
        time.sleep(60)
    yield rows
"""


@dataclass
class Upstream:
    """A vendor that gives orders, and to which things happen."""

    url: str
    fault: str = ""
    asked: int = 0
    there: int = 2
    """How many orders there are."""


def _answer(handler: BaseHTTPRequestHandler, upstream: Upstream) -> None:
    after = int(handler.path.rpartition("=")[2] or 0)
    body = json.dumps([{"id": n, "text": "of many" * 50} for n in range(after + 1, upstream.there + 1)]).encode()
    upstream.asked += 1
    status, headers = 200, {"Content-Type": "application/json", "Content-Length": str(len(body))}
    match upstream.fault:
        case "answers 429 with Retry-After, once":
            if upstream.asked == 1:
                status, headers["Retry-After"] = 429, "1"
        case "answers 500":
            status = 500
        case "never answers":
            time.sleep(8)
            return
        case "answers with a page in HTML":
            body = b"<html>we are at work on it</html>"
            headers |= {"Content-Type": "text/html", "Content-Length": str(len(body))}
        case "cuts its JSON short":
            body = body[:-20]
            headers["Content-Length"] = str(len(body))
        case "promises more bytes than it sends":
            headers["Content-Length"] = str(len(body) + 10)
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    if upstream.fault == "resets the connection in the middle of an answer":
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        time.sleep(0.1)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
    elif upstream.fault == "sends an answer drop by drop":
        for position in range(0, len(body), 40):
            handler.wfile.write(body[position : position + 40])
            handler.wfile.flush()
            time.sleep(0.15)
    else:
        handler.wfile.write(body)


@contextmanager
def serving(tls: Path | None = None) -> Iterator[Upstream]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, upstream)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    # Who is asked hangs up in some of the faults, which the server would tell on stderr.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    upstream = Upstream(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Fault:
    """What befalls a sync, and how it is made to."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    limit: tuple[int, int] | None = None
    """A limit of the kernel's for the sync's processes: which, and how much."""
    tls: bool = False
    signals: tuple[signal.Signals, ...] = ()
    do: Callable[[Path, Upstream], None] | None = None


def _gone(root: Path, upstream: Upstream) -> None:
    upstream.url = "http://127.0.0.1:1"


FAULTS = [
    *(
        Fault(f"the API {what}", {"RUNTIME__REQUEST_TIMEOUT": "2", "RUNTIME__REQUEST_MAX_ATTEMPTS": "2"})
        for what in (
            "never answers", "resets the connection in the middle of an answer", "promises more bytes than it sends",
            "cuts its JSON short", "answers with a page in HTML", "answers 500", "answers 429 with Retry-After, once",
            "sends an answer drop by drop",
        )
    ),
    Fault("the API is not there", {"RUNTIME__REQUEST_MAX_ATTEMPTS": "2"}, do=_gone),
    Fault("the API's certificate is signed by nobody known", {"RUNTIME__REQUEST_MAX_ATTEMPTS": "2"}, tls=True),
    Fault("the process may open no more files", {"FAULT": "files"}, (resource.RLIMIT_NOFILE, 256)),
    Fault("there is no more memory", {"FAULT": "memory"}, (resource.RLIMIT_AS, 4_000_000_000)),
    Fault("a file may not grow any more", {}, (resource.RLIMIT_FSIZE, 4_000)),
    Fault("the kernel kills the process of a source", {"FAULT": "killed"}),
    Fault("Ctrl-C", {"FAULT": "signal"}, signals=(signal.SIGINT,)),
    Fault("Ctrl-C, twice", {"FAULT": "signal"}, signals=(signal.SIGINT, signal.SIGINT)),
    Fault("SIGTERM", {"FAULT": "signal"}, signals=(signal.SIGTERM,)),
    Fault("the terminal is closed (SIGHUP)", {"FAULT": "signal"}, signals=(signal.SIGHUP,)),
    Fault("nobody reads its output (a pipe into `head`)"),
]  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vendors.certificate(tmp_path_factory.mktemp("tls"))


def sync(root: Path, fault: Fault | None = None) -> Said:
    def limited() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if fault and fault.limit:
            which, most = fault.limit
            resource.setrlimit(which, (most, most))

    command = [sys.executable, "-m", "dango", "sync", "--jobs", "1"]
    environment = {**os.environ, **(fault.environment if fault else {})}
    if fault and "head" in fault.name:
        command = ["bash", "-o", "pipefail", "-c", f"{' '.join(command)} | head -c 0"]
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=limited,
    )  # fmt: skip
    for sent in fault.signals if fault else ():
        while not (root / "there").exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(sent)
    out, err = process.communicate(timeout=120)
    return Said(process.returncode, out, err)


def ids(root: Path) -> list[int]:
    with duckdb.connect(str(root / "data" / "warehouse.duckdb"), read_only=True) as database:
        return [n for (n,) in database.sql("SELECT id FROM raw_shop.orders ORDER BY id").fetchall()]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_and_the_next_sync_heals(
    root: Path, write: Callable[..., None], certificate: Path, fault: Fault
) -> None:
    with serving() as upstream, serving(certificate if fault.tls else None) as broken:

        def at(url: str) -> None:
            write({"sources": sources(native("shop", "orders", function_kwargs={"url": url}))})

        write({"custom_sources/shop.py": SHOP})
        at(upstream.url)
        assert sync(root).code == 0
        assert ids(root) == [1, 2]

        broken.there, broken.fault = 4, fault.name.removeprefix("the API ")
        if fault.do:
            fault.do(root, broken)
        at(broken.url)
        begun = time.monotonic()
        done = sync(root, fault)
        seconds = time.monotonic() - begun
        assert "Traceback" not in done.err, done.err
        assert ids(root) == ([1, 2, 3, 4] if done.code == 0 else [1, 2]), done
        assert seconds < 60
        table.told(fault.name, done, root)

        upstream.there = 4
        at(upstream.url)
        healed = sync(root)
        assert (healed.code, ids(root)) == (0, [1, 2, 3, 4]), healed.err


def test_the_table_has_a_row_for_each_fault_and_no_other() -> None:
    assert list(table.rows()) == list(table.NAMES)
