"""`docs/REGISTRY_BYPASS.md`, executed from its first block to its last, against a server that asks for signatures."""

from __future__ import annotations

import hashlib
import hmac
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import Said
from tests.guides import DOCS, blocks, steps

PAGE = DOCS / "REGISTRY_BYPASS.md"
SECRET = b"the-secret-of-the-app"
SINGAPORE = timezone(timedelta(hours=8))
FIRST = datetime(2024, 5, 1, 8, tzinfo=SINGAPORE)
# A hundred and seventy orders; sixty of them changed in one second, more than a page holds.
TIMES = [FIRST + timedelta(minutes=n if not 60 <= n < 120 else 60) for n in range(170)]
ORDERS = [
    {"order_id": n, "price": f"{n}.50", "statuses": ["paid", "sent"], "updated_at": f"{at:%Y-%m-%d %H:%M:%S %z}"}
    for n, at in enumerate(TIMES)
]
PRODUCTS = [{"item_id": n, "status": "Active"} for n in range(70)]


def answer(path: str, query: dict[str, str]) -> tuple[str, Any]:
    """The code and the data with which Lazada answers."""
    sign = query.pop("sign", "")
    signed = path + "".join(name + query[name] for name in sorted(query))
    if not hmac.compare_digest(sign, hmac.new(SECRET, signed.encode(), hashlib.sha256).hexdigest().upper()):
        return "IncompleteSignature", None
    if query["access_token"] != "the-token-of-the-shop" or query["app_key"] != "100234":
        return "IllegalAccessToken", None
    begin, end = int(query["offset"]), int(query["offset"]) + int(query["limit"])
    if path == "/products/get":
        return "0", {"products": PRODUCTS[begin:end]} if PRODUCTS[begin:end] else {}
    since = datetime.fromisoformat(query["update_after"])
    return "0", {"orders": [order for order, at in zip(ORDERS, TIMES, strict=True) if at >= since][begin:end]}


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Lazada under `/rest`, a shop under `/shop`: their address, and what Lazada was asked."""
    asked: list[dict[str, str]] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/shop/customers":
                body: Any = {"customers": [{"id": 1, "shop": self.headers["X-Shop"]}]}
            else:
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                asked.append({"path": url.path, **query})
                code, data = answer(url.path.removeprefix("/rest"), query)
                body = {"code": code, "data": data} if data is not None else {"code": code, "message": "refused"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", asked
    http.shutdown()
    http.server_close()


@pytest.mark.slow
def test_every_block_of_the_guide_does_what_it_says(
    root: Path, dango: Callable[..., Said], rows: Callable[[str], list[Any]], server: tuple[str, list[dict[str, str]]]
) -> None:
    url, asked = server
    env = {"LAZADA_URL": f"{url}/rest", "SHOP_URL": f"{url}/shop", "SHOP_NAME": "ours"}
    assert dango("init", "--no-example").code == 0
    texts = [block.text for block in blocks(PAGE) if block.language == "text"]
    assert len(texts) == 2

    def run(line: str) -> Said:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "dango"
        return dango(*arguments, env=env)

    done = steps(PAGE, root, run)
    line, said = next(done)
    assert line.startswith("dango check lazada")
    assert said.err + said.out == texts[0]
    assert len(json.loads(dango("check", "lazada", "--json", env=env).out)["problems"]) == 2
    assert not asked, "a check touches no network"

    for line, _ in done:
        if line == "dango sync lazada --limit 5":
            assert rows("SELECT count(*) FROM raw_lazada__trial.orders") == [(5,)]
        elif line == "dango sync lazada":
            break
    assert rows("SELECT count(*), count(DISTINCT order_id), max(updated_at) FROM raw_lazada.orders") == [
        (170, 170, FIRST + timedelta(minutes=169))
    ]
    assert rows("SELECT count(*) FROM raw_lazada.products") == [(70,)]
    assert rows("SELECT count(*) FROM raw_lazada.orders__statuses") == [(340,)]

    assert next(done)[1].out.count("orders") >= 1
    assert [line for line, _ in (next(done), next(done))] == ["dango check", "dango sync customers"]
    assert rows("SELECT id, shop FROM raw_customers.customers") == [(1, "ours")]

    assert next(done)[1].err.replace(str(root), "/home/me/shop") == texts[1]
    asked.clear()
    next(done)
    # The cursor was kept, and the size of a page came as a number.
    since = {datetime.fromisoformat(each["update_after"]) for each in asked if each["path"] == "/rest/orders/get"}
    assert since == {FIRST + timedelta(minutes=169)}
    assert {each["limit"] for each in asked} == {"20"}
    assert rows("SELECT count(*) FROM raw_lazada.orders") == [(170,)]

    next(done)
    assert rows("SELECT count(*), sum(price) FROM marketplace.lazada_orders")[0][0] == 170

    assert [line for line, _ in done][-1] == "dango sync prices --full-refresh"
    assert rows("SELECT sku FROM raw_prices.prices ORDER BY sku") == [("a",), ("b",)]
    assert dango("source", "cursor", "prices", "--json").json["cursors"][0]["value"] == "2024-04-01T00:00:00Z"


@pytest.mark.slow
def test_a_refused_request_of_the_guides_source_is_an_error_and_not_an_empty_page(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], server: tuple[str, list[dict[str, str]]]
) -> None:
    config = next(block.text for block in blocks(PAGE) if block.file == ".dango/sources.yml")
    files = {block.file: block.text for block in blocks(PAGE) if block.language == "python"}
    write({**files, "sources": config, ".dlt/secrets.toml": '[sources.lazada]\napp_secret = "x"\naccess_token = "y"\n'})
    said = dango("sync", "lazada", env={"LAZADA_URL": f"{server[0]}/rest", "LAZADA_APP_KEY": "1"})
    assert said.code == 1
    assert "LazadaError: /orders/get: IncompleteSignature: refused" in said.err
