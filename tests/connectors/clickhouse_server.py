"""ClickHouse's own engine behind a little of its HTTP: enough for its driver, on a port that is printed."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from chdb import session

ROWS = (
    "CREATE DATABASE shop ENGINE = Atomic",
    """CREATE TABLE shop.orders (
        id UInt64, large Int256, price Decimal(10, 2), wide Decimal(60, 4), share Float64, name String,
        low LowCardinality(Nullable(String)), code UUID, mood Enum8('sad' = 1, 'ok' = 2), day Date, at DateTime('UTC'),
        local DateTime64(6, 'Asia/Tokyo'), ip IPv4, yes Bool, numbers Array(Int64), counts Map(String, Int64),
        pair Tuple(a Int8, b String), nothing Nullable(Int64)
    ) ENGINE = MergeTree ORDER BY id""",
    """INSERT INTO shop.orders VALUES (
        1, 12345678901234567890123, 12.34, 1.5, 0.1, 'hé', 'x', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ok',
        '2024-01-02', '2024-01-02 03:04:05', '2024-01-02 03:04:05.123456', '10.0.0.1', true, [1, 2], {'a': 1},
        (1, 'z'), NULL)""",
)
ENGINE = session.Session()
ONE_AT_A_TIME = threading.Lock()


class Query(BaseHTTPRequestHandler):
    """A query in the URL, the body, or both."""

    def do_POST(self) -> None:
        """Answers in the format that the query ends with."""
        asked = parse_qs(urlsplit(self.path).query).get("query", [""])[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        query, _, kind = re.fullmatch(r"(.*?)(\s+FORMAT\s+(\w+))?\s*", f"{asked}\n{body}".strip(), re.S).groups()  # type: ignore[union-attr]
        try:
            with ONE_AT_A_TIME:
                self._answer(200, ENGINE.query(query, kind or "TabSeparated").bytes())
        except RuntimeError as error:
            self._answer(500, str(error).encode())

    def do_GET(self) -> None:
        """The same."""
        self.do_POST()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    for statement in ROWS:
        ENGINE.query(statement)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Query)
    print(server.server_address[1], flush=True)
    server.serve_forever()
