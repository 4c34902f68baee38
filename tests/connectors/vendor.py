"""A vendor on the loopback: a real HTTP server whose answers a test gives as a function."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What is answered: `body` as JSON, or as it is where it is text or bytes."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Vendor:
    url: str
    asked: list[Asked] = field(default_factory=list)

    def to(self, path: str) -> list[Asked]:
        """The requests to one path, in their order."""
        return [asked for asked in self.asked if asked.path == path]


@contextmanager
def vendor(answer: Callable[[Asked], Any], tls: Path | None = None) -> Iterator[Vendor]:
    """Serves `answer(asked)`: an `Answer`, or what becomes the body of one; over TLS with that certificate and key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body)
            running.asked.append(asked)
            given = answer(asked)
            whole = given if isinstance(given, Answer) else Answer(given)
            text = whole.body if isinstance(whole.body, str | bytes) else json.dumps(whole.body)
            data = text.encode() if isinstance(text, str) else text
            self.send_response(whole.status)
            for name, value in {"Content-Type": "application/json", **whole.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = handle_any  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    running = Vendor(f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path) -> Path:
    """A certificate for the loopback that nobody has signed, and its key, in one file."""
    file, key = folder / "loopback.pem", folder / "loopback.key"
    name = ("-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1")
    command = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        *name,
        "-days",
        "1",
        "-out",
        file,
    )
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file
