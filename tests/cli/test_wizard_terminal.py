"""The wizard in a real terminal: what it asks, what it shows, and what it never shows."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.fixtures_postgres import Postgres

pytestmark = pytest.mark.slow  # whole commands, many of them

ENTER, BACK, ESCAPE, ABORT, DOWN, ALL, CLEAR, ERASE = "\r", "\x1b[Z", "\x1b", "\x03", "\x1b[B", "\x01", "\x15", "\x7f"
EMPTY = "version: 1\nsources: []\n"
BAZAAR = """\
registry: 1
id: bazaar
title: Bazaar of all the things that are sold in the city of Isfahan
category: commerce
aliases: [souk]
setup: Ask the merchant for a token.
fields:
  - {name: base_url, kind: url, title: Address, required: true, example: "https://shop.example"}
  - {name: token, kind: secret, title: Access token, required: true}
  - {name: level, kind: enum, title: Level, options: [low, high], required: true}
  - {name: stall, title: Stall, required: true, when: {level: high}, pattern: "[a-z]+", example: rugs}
  - {name: deep, kind: bool, title: Deep, required: true}
  - {name: count, kind: int, title: Count, required: true, min: 1, help: How many at most}
  - {name: day, kind: date, title: First day, required: true}
  - {name: tags, kind: list, title: Tags, required: true}
  - {name: pem, kind: secret, title: Private key}
  - {name: page, kind: int, title: Page size, default: 50, advanced: true}
  - {name: note, title: Note, advanced: true}
build:
  kind: rest_api
  config:
    client: {base_url: "${base_url}", auth: {type: bearer, token: "${secrets.token}"}, paginator: single_page}
    resources:
      - {name: orders, endpoint: {path: orders}}
      - {name: slow, endpoint: {path: slow}}
select: {default: [orders]}
describe: {orders: What was bought, slow: What takes long}
"""


class Handler(BaseHTTPRequestHandler):
    """An API for whoever has the token; `slow` takes its time."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer right-token"
        if self.path == "/slow":
            time.sleep(60)
            return
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'[{"id": 1}]' if allowed else b'{"message": "Bad credentials"}')

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.socket.close()


@dataclass
class Terminal:
    """A command in a pseudo-terminal, and everything that it ever showed."""

    child: pexpect.spawn
    log: io.StringIO

    def asks(self, question: str) -> None:
        """Waits until this is drawn, in whatever colours; what stood there before is not drawn again."""
        self.child.expect(r"(?:\x1b\[[0-9;]*m)*".join(map(re.escape, question)))

    def types(self, keys: str) -> None:
        """As a person does: not before the question is there."""
        time.sleep(0.05)
        self.child.send(keys)

    def answer(self, *steps: tuple[str, str]) -> None:
        """Waits for each question, and types what belongs to it."""
        for question, keys in steps:
            self.asks(question)
            self.types(keys)

    def ends(self) -> int | None:
        """The exit code."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus  # type: ignore[no-any-return]

    @property
    def shown(self) -> str:
        """Everything, with what moves the cursor and colours text."""
        return self.log.getvalue()

    @property
    def said(self) -> str:
        """Everything, as text alone."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.shown)


@pytest.fixture
def terminal(root: Path) -> Iterator[Callable[..., Terminal]]:
    """`dango …` in a pseudo-terminal, in the test's project."""
    children = []

    def start(*arguments: str, rows: int = 40, columns: int = 120, **env: str) -> Terminal:
        log = io.StringIO()
        surroundings = {**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", **env}
        child = pexpect.spawn(
            sys.executable, ["-m", "dango", *arguments], cwd=root, encoding="utf-8", timeout=30,
            env={name: value for name, value in surroundings.items() if value}, dimensions=(rows, columns),
        )  # fmt: skip
        child.logfile_read = log
        children.append(child)
        return Terminal(child, log)

    yield start
    for child in children:
        child.close(force=True)


@pytest.fixture(autouse=True)
def _project(write: Callable[..., None]) -> None:
    write({"sources": EMPTY, "registry/bazaar.yml": BAZAAR, ".dlt/secrets.toml": "# mine\n"})


def files(root: Path) -> tuple[str, str]:
    return (root / ".dango/sources.yml").read_text(), (root / ".dlt/secrets.toml").read_text()


def drafts(root: Path) -> dict[str, Any]:
    """The answers that are kept, by the name of their draft."""
    return {file.stem: json.loads(file.read_text()) for file in (root / ".dango/draft").glob("*.json")}


def steps(server: str, token: str = "right-token") -> list[tuple[str, str]]:
    """All the questions of the bazaar, and an answer to each."""
    return [
        ("Name of the source", ENTER),
        ("Address", server + ENTER),
        ("Access token", token + ENTER),
        ("Level", DOWN + ENTER),
        ("Stall", "rugs" + ENTER),
        ("Deep", "y"),
        ("Count", "7" + ENTER),
        ("First day", "2024-01-31" + ENTER),
        ("Tags", "a, b" + ENTER),
        ("Private key", ENTER),
        ("Change any of", "n"),
        ("What shall be loaded?", ENTER),
        ("Test it now?", "y"),
        ("Write this?", "y"),
        ("Load it now?", "n"),
    ]


WRITTEN = """\
version: 1
sources:
  - name: bazaar
    type: bazaar
    resources: [orders]
    bazaar:
      base_url: SERVER
      level: high
      stall: rugs
      deep: true
      count: 7
      day: 2024-01-31
      tags: [a, b]
"""


def test_a_source_from_the_search_to_the_first_rows(
    server: str, root: Path, terminal: Callable[..., Terminal], rows: Callable[[str], list[Any]]
) -> None:
    it = terminal("source", "add")
    it.answer(("Which source?", "quux"), ("nothing matches", ENTER + ERASE * 4 + "souk"), ("souk...", ENTER))
    it.answer(
        ("Ask the merchant for a token.", ""),
        ("Name of the source", CLEAR + "No Name" + ENTER),
        ("a letter first, at most 48); use `no_name`", CLEAR + "bazaar" + ENTER),
        ("Address", "shop.example" + ENTER),
        ("Address is a URL, such as https://example.com", CLEAR + server + ENTER),
        ("Access token", ENTER),
        ("Access token is needed", "wrong-token" + ENTER),
        ("Level", DOWN + ENTER),
        ("Stall", "R2D2" + ENTER),
        ("Stall does not look like one, such as rugs", CLEAR + "rugs" + ENTER),
        ("Deep", "y"),
        ("How many at most", "seven" + ENTER),
        ("Count is a whole number", CLEAR + "0" + ENTER),
        ("t least 1", CLEAR + "7" + ENTER),
        ("First day", "tomorrow" + ENTER),
        ("First day is a date, such as 2024-01-31", CLEAR + "2024-01-31" + ENTER),
        ("Tags", ", ," + ENTER),
        ("Tags is needed", CLEAR + "a, b" + ENTER),
        ("Private key", ENTER),
        ("Page size, Note", ""),
        ("Change any of 2 more settings?", "n"),
        ("What shall be loaded?", ""),
        ("What was bought", ENTER),
        ("Test it now?", ENTER),
        ("401", ""),
        ("The test failed.", DOWN + ENTER),
        ("Access token", "right-token" + ENTER),
        ("Private key", ENTER),
        ("Test it now?", ENTER),
        ("orders: a row in", ""),
        ("+  - name: bazaar", ""),
        ("and in .dlt/secrets.toml: token", ""),
        ("Write this?", ENTER),
        ("Load it now?", "y"),
        ("raw_bazaar.orders", ""),
    )
    assert it.ends() == 0
    assert files(root) == (WRITTEN.replace("SERVER", server), '# mine\n\n[sources.bazaar]\ntoken = "right-token"\n')
    assert rows("select count(*) from raw_bazaar.orders") == [(1,)]
    assert "right-token" not in it.shown
    assert "wrong-token" not in it.shown
    assert drafts(root) == {}


@pytest.mark.parametrize("last", range(15))
def test_abort_at_any_question_changes_nothing_and_keeps_what_is_no_secret(
    last: int, server: str, root: Path, terminal: Callable[..., Terminal]
) -> None:
    before = files(root)
    it = terminal("source", "add", "bazaar")
    given = steps(server)
    it.answer(*given[:last], (given[last][0], ABORT))
    assert it.ends() == 130
    assert "nothing was changed" in it.said
    assert files(root) == before
    kept = drafts(root).get("bazaar", {})
    assert "right-token" not in str(kept) + it.shown
    assert len(kept) == min(last, 12) - (last > 2) - (last > 9)


def test_abort_before_there_is_a_question(root: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("source", "add")
    it.answer(("Which source?", ABORT))
    assert it.ends() == 130
    assert files(root) == (EMPTY, "# mine\n")
    assert not (root / ".dango/draft").exists()


def test_abort_while_it_is_tested(server: str, root: Path, terminal: Callable[..., Terminal]) -> None:
    before = files(root)
    it = terminal("source", "add", "bazaar", "--resource", "slow")
    it.answer(*steps(server)[:11], ("Test it now?", "y"))
    time.sleep(3)
    it.types(ABORT)
    started = time.monotonic()
    assert it.ends() == 130
    assert time.monotonic() - started < 5
    assert "Traceback" not in it.said
    assert files(root) == before
    assert drafts(root)["bazaar"]["field.count"] == 7


def test_what_was_answered_before_an_abort_is_offered_again(
    server: str, root: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("source", "add", "bazaar")
    it.answer(*steps(server)[:9], ("Private key", ABORT))
    assert it.ends() == 130
    it = terminal("source", "add", "bazaar", "--no-test")
    it.answer(
        ("Name of the source", ENTER),
        (server, ENTER),
        ("Access token", ENTER),
        ("Access token is needed", "right-token" + ENTER),
        ("Level", ENTER),
        ("rugs", ENTER),
        ("Deep", ENTER),
        ("Count", ENTER),
        ("2024-01-31", ENTER),
        ("a, b", ENTER),
        ("Private key", ENTER),
        ("more settings?", ENTER),
        ("What shall be loaded?", ENTER),
        ("Write this?", ENTER),
        ("Load it now?", ENTER),
    )
    assert it.ends() == 0
    assert files(root)[0] == WRITTEN.replace("SERVER", server)
    assert drafts(root) == {}


def test_going_back_keeps_what_was_typed(server: str, root: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("source", "add", "bazaar", "--no-test")
    it.answer(
        ("Name of the source", BACK),
        ("Name of the source", BACK),
        *steps(server)[:5],
        ("Deep", BACK),
        ("Stall", BACK),
        ("Level", BACK),
        ("Access token (Enter keeps the present one)", ESCAPE),
        ("Address", ENTER),
        ("Access token (Enter keeps the present one)", ENTER),
        ("Level", ENTER),
        ("rugs", ENTER),
        *steps(server)[5:10],
        ("more settings?", "y"),
        ("Page size", CLEAR + "60" + ENTER),
        ("Note", "n" + BACK),
        ("Page size", BACK),
        ("more settings? (Y/n)", BACK),
        ("Private key", ENTER),
        ("more settings? (Y/n)", ENTER),
        ("60", ENTER),
        ("Note", "hello" + ENTER),
        ("What shall be loaded?", DOWN + " " + ENTER),
        ("Write this?", "n"),
        ("What then?", ENTER),
        ("What shall be loaded?", BACK),
        ("hello", ENTER),
        ("What shall be loaded?", ENTER),
        ("Write this?", ENTER),
        ("Load it now?", ENTER),
    )
    assert it.ends() == 0
    sources, secrets = files(root)
    assert sources == WRITTEN.replace("SERVER", server).replace("[orders]", "[orders, slow]") + (
        "      page: 60\n      note: hello\n"
    )
    assert secrets == '# mine\n\n[sources.bazaar]\ntoken = "right-token"\n'
    assert "right-token" not in it.shown


PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg+/kqhkiG9w0BAQ\n\nEFAASCBKcwggSjAgEAAo=\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(("line_end", "marks"), [("\n", True), ("\r", True), ("\r\n", True), ("\r", False)], ids=repr)
def test_a_secret_of_several_lines_is_pasted_as_it_is(
    line_end: str, marks: bool, server: str, root: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("source", "add", "bazaar", "--no-test")
    pasted = PEM.replace("\n", line_end)
    it.answer(*steps(server)[:9], ("Private key", f"\x1b[200~{pasted}{line_end}\x1b[201~" if marks else pasted))
    time.sleep(0.3)
    it.types(ENTER)
    it.answer(*steps(server)[10:12], *steps(server)[13:])
    assert it.ends() == 0
    assert f"pem = '''\n{PEM}'''\n" in files(root)[1]
    assert not any(line in it.shown for line in PEM.splitlines() if line)


def test_a_reference_is_an_answer_too(server: str, root: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("source", "add", "bazaar", "--no-test", "--set", "level=env:LEVEL", "--set", "deep=env:DEEP")
    it.answer(
        ("Name of the source", ENTER),
        ("Address", "env:ADDRESS" + ENTER),
        ("Access token", "env:not a name" + ENTER),
        ("after `env:` comes the name of an environment variable", CLEAR + "env:TOKEN" + ENTER),
        ("Count", "env:COUNT" + ENTER),
        ("First day", "env:DAY" + ENTER),
        ("Tags", "env:TAGS" + ENTER),
        *steps(server)[9:12],
        *steps(server)[13:],
    )
    assert it.ends() == 0
    sources, secrets = files(root)
    for line in ("base_url: env:ADDRESS", "token: env:TOKEN", "level: env:LEVEL", "count: env:COUNT", "tags: env:TAGS"):
        assert line in sources
    assert secrets == "# mine\n"


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(
    server: str, root: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("source", "add", "bazaar", "--no-test")
    it.answer(*steps(server)[:12], ("Write this?", ""))
    (root / ".dango/sources.yml").write_text(EMPTY + "# by hand\n")
    it.types("y")
    it.answer(("Load it now?", "n"))
    assert it.ends() == 1
    assert "was changed meanwhile" in it.said
    assert files(root) == (EMPTY + "# by hand\n", "# mine\n")
    assert drafts(root)["bazaar"]["field.stall"] == "rugs"


@pytest.mark.parametrize(("rows", "columns"), [(20, 40), (12, 30)])
def test_a_narrow_terminal_is_enough(
    rows: int, columns: int, server: str, root: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("source", "add", rows=rows, columns=columns)
    it.answer(("Which source?", "souk"), ("souk...", ENTER))
    it.answer(*steps(server))
    assert it.ends() == 0
    assert files(root)[0] == WRITTEN.replace("SERVER", server)


COLOURED = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": "", "TERM": "dumb"}, False)],
)
def test_colour_only_where_it_is_wanted(
    env: dict[str, str], coloured: bool, server: str, root: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("source", "add", "bazaar", **env)
    it.answer(*steps(server))
    assert it.ends() == 0
    assert bool(COLOURED.search(it.shown)) is coloured


def test_edit_asks_again_with_the_present_answers(server: str, root: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("source", "add", "bazaar", "--no-test")
    it.answer(*steps(server)[:12], *steps(server)[13:])
    assert it.ends() == 0
    kept = files(root)
    it = terminal("source", "edit", "bazaar")
    it.answer(
        (server, BACK),
        (server, ENTER),
        ("Access token (Enter keeps the present one)", ENTER),
        ("Level", ENTER),
        ("rugs", ENTER),
        ("Deep", ENTER),
        ("Count", ENTER),
        ("2024-01-31", ENTER),
        ("a, b", ENTER),
        ("Private key", ENTER),
        ("more settings?", ENTER),
        ("What shall be loaded?", ENTER),
        ("Test it now?", ENTER),
        ("orders: a row in", ""),
        ("Write this?", ENTER),
        ("Load it now?", ENTER),
        ("as it was", ""),
    )
    assert it.ends() == 0
    assert files(root) == kept
    it = terminal("source", "edit", "bazaar", "--no-test")
    it.answer(
        (server, ENTER), ("Access token", "other-token" + ENTER), ("Level", ENTER), ("rugs", CLEAR + "pots" + ENTER)
    )
    it.answer(("Deep", ABORT))
    assert it.ends() == 130
    assert files(root) == kept
    assert [*drafts(root)] == ["edit-bazaar"]
    it = terminal("source", "edit", "bazaar", "--no-test")
    it.answer((server, ENTER), ("Access token", ENTER), ("Level", ENTER), ("pots", ABORT))
    assert it.ends() == 130
    assert "other-token" not in it.shown + str(drafts(root))


SHOP = """\
import dlt

@dlt.source
def shop(site: str, size: int = 5, token: str = dlt.secrets.value):
    return dlt.resource([{"site": site, "size": size}], name="orders")

@dlt.resource
def other():
    yield {"a": 1}
"""


def test_a_file_of_custom_sources_is_picked_and_asked_for_its_parameters(
    root: Path, write: Callable[..., None], terminal: Callable[..., Terminal]
) -> None:
    write({"custom_sources/shop.py": SHOP, "custom_sources/another.py": "def rows():\n    yield {}\n"})
    it = terminal("source", "add")
    it.answer(
        ("Which source?", "dlt_nat"),
        ("dlt_nat...", ENTER),
        ("Which file of custom_sources/?", DOWN + ENTER),
        ("Which one?", DOWN + ENTER),
        ("Name of the source", ENTER),
        ("Site", "x" + ENTER),
        ("Token", "t0ken-of-shop" + ENTER),
        ("more settings?", "y"),
        ("Size", CLEAR + "6" + ENTER),
        ("Test it now?", "y"),
        ("orders: a row in", ""),
        ("Write this?", "y"),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    sources, secrets = files(root)
    assert sources == (
        "version: 1\nsources:\n  - name: shop\n    type: dlt_native\n    dlt_native:\n      source_module: shop\n"
        "      source_function: shop\n      function_kwargs: {site: x, size: 6}\n"
    )
    assert secrets == '# mine\n\n[sources.shop]\ntoken = "t0ken-of-shop"\n'
    assert "t0ken-of-shop" not in it.shown


def test_a_database(
    postgres: Postgres, root: Path, terminal: Callable[..., Terminal], rows: Callable[..., Any]
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz DEFAULT now())")
        cursor.execute("CREATE TABLE log (line text)")
        cursor.execute("INSERT INTO orders VALUES (1), (2)")
        cursor.execute("CREATE SCHEMA attic")
        cursor.execute("CREATE TABLE attic.old (id int)")
    it = terminal("source", "add", "postgres", "--name", "shop")
    it.answer(
        ("Database", postgres.database + ENTER),
        ("User", postgres.user + ENTER),
        ("Password", "wrong-password" + ENTER),
        ("more settings?", "y"),
        ("Host", CLEAR + postgres.host + ENTER),
        ("Port", CLEAR + f"{postgres.port}" + ENTER),
        ("password authentication failed", ""),
        ("It cannot be reached.", DOWN + ENTER),
        ("Password (Enter keeps the present one)", postgres.password + ENTER),
        ("PostgreSQL", ""),
        (f"as {postgres.user}: 2 tables", ""),
        ("Schema", ENTER),
        ("TLS", ENTER),
        ("Which tables?", ""),
        ("key id", BACK),
        ("TLS", BACK),
        ("Schema", BACK),
        ("Password (Enter keeps the present one)", ENTER),
        ("Schema", DOWN + ENTER),
        ("TLS", ENTER),
        (f"as {postgres.user}: 1 table\r", ""),
        ("Which tables?", BACK),
        ("TLS", BACK),
        (f"as {postgres.user}: 2 tables", ""),
        ("Schema", DOWN + ENTER),
        ("TLS", ENTER),
        ("Which tables?", ""),
        ("key id", ENTER),
        ("orders: what changed, by updated_at, merged on id", ""),
        ("How shall they be loaded?", DOWN + ENTER),
        ("How shall `log` be loaded?", ENTER),
        ("How shall `orders` be loaded?", DOWN + DOWN + ENTER),
        ("Test it now?", "y"),
        ("log: well, and empty", ""),
        ("orders: a row in", ""),
        ("Write this?", "y"),
        ("Load it now?", "y"),
        ("raw_shop.orders", ""),
    )
    assert it.ends() == 0
    assert "        write_disposition: append\n        cursor: {field: updated_at}\n" in files(root)[0]
    assert files(root)[1] == f'# mine\n\n[sources.shop]\npassword = "{postgres.password}"\n'
    assert rows("select count(*) from raw_shop.orders") == [(2,)]
    assert postgres.password not in it.shown
    assert "wrong-password" not in it.shown


def test_a_database_that_cannot_be_reached_is_described_by_hand(root: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("source", "add", "postgres", "--name", "shop", "--set", "port=1", "--no-test")
    it.answer(
        ("Database", "d" + ENTER),
        ("User", "u" + ENTER),
        ("Password", "s3cr3t-pw" + ENTER),
        ("more settings?", "n"),
        ("It cannot be reached.", DOWN + DOWN + ENTER),
        ("Which tables?", "orders, log" + ENTER),
        ("Write this?", "n"),
        ("What then?", DOWN + DOWN + ENTER),
    )
    assert it.ends() == 130
    assert files(root) == (EMPTY, "# mine\n")
    assert "s3cr3t-pw" not in it.shown + str(drafts(root))
    assert drafts(root)["postgres"]["resources"] == ["orders", "log"]


def test_tables_that_an_option_names_are_looked_up(
    postgres: Postgres, root: Path, terminal: Callable[..., Terminal]
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz)")
    fields = {"host": postgres.host, "port": postgres.port, "database": postgres.database, "user": postgres.user}
    given = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    it = terminal("source", "add", "postgres", "--name", "shop", *given, "--resource", "orders", "--no-test")
    it.answer(
        ("Password", postgres.password + ENTER),
        ("more settings?", "n"),
        ("orders: what changed, by updated_at, merged on id", ""),
        ("How shall they be loaded?", ENTER),
        ("Write this?", "y"),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    assert "cursor: {field: updated_at}" in files(root)[0]
    kept = files(root)
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE later (id int)")
    it = terminal("source", "edit", "shop", "--no-test")
    it.answer(
        ("Database", ENTER),
        ("User", ENTER),
        ("Password (Enter keeps the present one)", ENTER),
        ("more settings?", "n"),
        ("Which tables?", ENTER),
        ("as now", ENTER),
        ("Write this?", "y"),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    assert files(root) == kept
