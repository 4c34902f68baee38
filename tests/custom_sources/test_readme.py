"""`custom_sources/README.md`, executed from its first block to its last, in a project of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import Said

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "custom_sources" / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def api() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A shop's API of two pages, which asks for patience once: its address, and what it was asked."""
    asked: list[dict[str, str]] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            asked.append({**query, "token": self.headers["Authorization"]})
            page = int(query["page"])
            orders = [{"id": n, "updated_at": f"2024-05-0{n}T10:00:00Z"} for n in (2 * page - 1, 2 * page)]
            new = [order for order in orders if str(order["updated_at"]) >= query["updated_since"]]
            self.send_response(429 if len(asked) == 2 else 200)
            self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(json.dumps({"orders": new, "next_page": page + 1 if page < 2 else None}).encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def run(root: Path, command: str, **env: str) -> None:
    program, *arguments = shlex.split(command)
    start = [sys.executable, "-m", "dango"] if program == "dango" else [sys.executable]
    done = subprocess.run(
        [*start, *arguments], cwd=root, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}:\n{done.stdout}"


def test_every_project_gets_the_same_guide() -> None:
    given = ROOT / "templates" / "project" / "custom_sources" / "README.md"
    assert given.read_text(encoding="utf-8") == GUIDE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_block_does_what_the_guide_says(
    root: Path, dango: Callable[..., Said], rows: Callable[[str], list[Any]], api: tuple[str, list[dict[str, str]]]
) -> None:
    assert dango("init", "--no-example").code == 0
    url, asked = api
    for language, block in BLOCKS:
        if language == "sh":
            for command in block.splitlines():
                run(root, command, SHOP_URL=url)
        else:
            file = root / block.partition("\n")[0].removeprefix("# ")
            assert file.suffix in (".py", ".yml", ".toml"), "a block says first which file it is"
            file.parent.mkdir(exist_ok=True)
            file.write_text(block, encoding="utf-8")
    assert {language for language, _ in BLOCKS} == {"sh", "python", "yaml", "toml"}
    assert rows("SELECT count(*) FROM raw_sample.orders") == [(120,)]
    assert rows("SELECT count(*) FROM raw_colours.colours__letters") == [(12,)]
    assert rows("SELECT id FROM raw_shop.orders ORDER BY id") == [(1,), (2,), (3,), (4,)]
    # The second page was asked for again, and with the first one's question.
    assert [(each["page"], each["updated_since"]) for each in asked] == [
        ("1", "2024-01-01T00:00:00Z"), ("2", "2024-01-01T00:00:00Z"), ("2", "2024-01-01T00:00:00Z")
    ]  # fmt: skip
    assert {each["token"] for each in asked} == {"Bearer a-token-of-mine"}
    assert dango("source", "cursor", "shop", "--json").json["cursors"][0]["value"] == "2024-05-04T10:00:00Z"
    # Its words are those that the wizard has.
    asks = dango("source", "add", "dlt_native", "--module", "shop", "--function", "shop", "--name", "again", "--yes")
    assert "Made in the shop, under Settings, API" in asks.err
    assert dango("sync", "shop", "--json", env={"SHOP_URL": url}).json["results"][0]["rows"] == 0
