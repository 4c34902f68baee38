"""`dango source cursor`: what the next sync goes on from is shown, moved and forgotten, wherever it is stored."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from dango.lock import lock
from tests.conftest import Said, native, one_of, sources
from tests.faults.points import COMMIT
from tests.faults.running import into_postgres
from tests.fixtures_postgres import Postgres
from tests.killed import killed

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

# Ten rows, of which the n-th stands at n of whatever kind the cursor is.
KINDS = """
import datetime as dt
from decimal import Decimal
import dlt

UTC = dt.timezone.utc
MAKE = {
    "instants": lambda n: dt.datetime(2024, 1, n, 9, 30, tzinfo=UTC),
    "local": lambda n: dt.datetime(2024, 1, n, 9, 30),
    "days": lambda n: dt.date(2024, 1, n),
    "ids": lambda n: n,
    "prices": lambda n: Decimal(n) + Decimal("0.5"),
    "texts": lambda n: f"2024-01-{n:02}T00:00:00Z",
    "words": lambda n: f"w{n:02}",
}

def resource(name, make):
    @dlt.resource(name=name, write_disposition="merge", primary_key="n", columns={"n": {"data_type": "bigint"}})
    def rows(at=dlt.sources.incremental("at", initial_value=make(1))):
        yield [{"n": n, "at": make(n)} for n in range(1, 11)]
    return rows

@dlt.source
def rows():
    return [resource(name, make) for name, make in MAKE.items()]
"""

SHOP = """
import json
import dlt

@dlt.source
def rows():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        with open("given.json") as file:
            yield [{"id": n} for n in json.load(file)]

    @dlt.resource(write_disposition="merge", primary_key="id")
    def pages():
        state = dlt.current.resource_state()
        state["page"] = state.get("page", 0) + 1
        yield [{"id": state["page"]}]

    @dlt.resource(write_disposition="replace")
    def rates():
        yield [{"id": 1}]

    return events, pages, rates
"""


@pytest.fixture
def shop(root: Path, write: Write) -> Callable[..., None]:
    """A project with the source `shop`; called, it says what its events are."""
    write({"sources": sources(native("shop")), "custom_sources/shop.py": SHOP})

    def give(*ids: int) -> None:
        (root / "given.json").write_text(json.dumps(ids))

    give(1, 2, 3)
    return give


def value(dango: Dango, **options: Any) -> Any:
    (cursor,) = dango("source", "cursor", "shop", "--json", **options).json["cursors"]
    return cursor["value"]


@pytest.mark.slow
def test_every_kind_of_cursor_is_shown_and_set_in_its_own_type(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("kinds", module="kinds")), "custom_sources/kinds.py": KINDS})
    assert dango("sync").code == 0
    shown = {cursor["resource"]: cursor for cursor in dango("source", "cursor", "kinds", "--json").json["cursors"]}
    assert {name: (c["path"], c["kind"], c["value"], c["initial"]) for name, c in shown.items()} == {
        "instants": ("at", "datetime", "2024-01-10T09:30:00+00:00", "2024-01-01T09:30:00+00:00"),
        "local": ("at", "datetime", "2024-01-10T09:30:00", "2024-01-01T09:30:00"),
        "days": ("at", "date", "2024-01-10", "2024-01-01"),
        "ids": ("at", "integer", 10, 1),
        "prices": ("at", "number", "10.5", "1.5"),
        "texts": ("at", "text", "2024-01-10T00:00:00Z", "2024-01-01T00:00:00Z"),
        "words": ("at", "text", "w10", "w01"),
    }
    given = {
        "instants": "2024-01-08T11:30:00+02:00", "local": "2024-01-08 09:30", "days": "2024-01-08", "ids": "8",
        "prices": "8.5", "texts": "2024-01-08", "words": "w08",
    }  # fmt: skip
    moved = dango("source", "cursor", "kinds", *(f"--set={name}={text}" for name, text in given.items()), "--json").json
    assert [(m["resource"], m["after"], m["warning"]) for m in moved["moved"]][:3] == [
        ("instants", "2024-01-08T09:30:00+00:00", ""), ("local", "2024-01-08T09:30:00", ""), ("days", "2024-01-08", "")
    ]  # fmt: skip
    tables = dango("sync", "--json").json["results"][0]["tables"]
    assert {table["name"]: table["rows"] for table in tables} == dict.fromkeys(given, 3)
    again = {cursor["resource"]: cursor for cursor in dango("source", "cursor", "kinds", "--json").json["cursors"]}
    assert again == shown
    # Where it stands already: the row there counts as new.
    assert dango("source", "cursor", "kinds", "--set", "ids=10").code == 0
    assert [table["rows"] for table in dango("sync", "--json").json["results"][0]["tables"]] == [1]


def test_what_resources_remember_is_shown_as_people_read_it(shop: Callable[..., None], dango: Dango) -> None:
    assert dango("source", "cursor", "shop").out == "nothing is stored yet: the next sync begins at the beginning\n"
    assert dango("sync").code == 0
    said = dango("source", "cursor", "shop")
    header, events, *others = said.out.splitlines()
    assert header.split("  ")[0] == "resource"
    assert events.split() == ["events", "id", "3", "integer", "0"]
    assert others[:2] == ["pages remembers by code of its own: page", "without a cursor: rates"]
    assert re.fullmatch(r"from the working folder, written 20\d\d-\d\d-\d\dT[\d:]+\+00:00", others[2])
    assert dango("source", "cursor", "shop", "rates").out == "without a cursor: rates\n"


@pytest.mark.slow
def test_looking_changes_nothing_and_makes_no_database(root: Path, shop: Callable[..., None], dango: Dango) -> None:
    assert dango("source", "cursor", "shop", "--set", "events=1").code == 2
    assert not (root / "data" / "warehouse.duckdb").exists()
    assert dango("sync").code == 0
    folder = root / ".dango" / "pipelines" / "shop--duckdb--raw_shop"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert value(dango) == 3
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert list((root / ".dango").glob("dry-*")) == []
    # A sync would find no database, and begin anew.
    (root / "data" / "warehouse.duckdb").unlink()
    assert dango("source", "cursor", "shop", "--json").json["cursors"] == []


def test_a_cursor_that_was_set_outlives_the_working_folder(
    root: Path, shop: Callable[..., None], dango: Dango, rows: Callable[[str], list[Any]]
) -> None:
    assert dango("sync").code == 0
    said = dango("source", "cursor", "shop", "--set", "events=2")
    assert said.out == "events: id from 3 to 2\n\nnext:\n  dango sync shop\n"
    assert said.err == (
        "warning: `events` appends: rows that are loaded again are there twice then;"
        " in their place: dango sync shop --full-refresh --resource events\n"
    )
    shutil.rmtree(root / ".dango" / "pipelines")
    shown = dango("source", "cursor", "shop", "--json").json
    assert (shown["cursors"][0]["value"], shown["origin"]) == (2, "destination")
    shop(1, 2, 3, 4)
    assert dango("sync").code == 0
    assert rows("SELECT id, count(*) FROM raw_shop.events GROUP BY id ORDER BY id") == [(1, 1), (2, 2), (3, 2), (4, 1)]
    # What is ahead doubles nothing.
    assert dango("source", "cursor", "shop", "--set", "events=9").err == ""


@pytest.mark.slow
def test_it_is_set_upon_the_newest_state_wherever_that_is(root: Path, shop: Callable[..., None], dango: Dango) -> None:
    assert dango("sync").code == 0
    folder = root / ".dango" / "pipelines" / "shop--duckdb--raw_shop"
    shutil.copytree(folder, root / "older")
    shop(*range(1, 8))
    assert dango("sync").code == 0
    shutil.rmtree(folder)
    shutil.copytree(root / "older", folder)
    assert value(dango) == 7
    moved = dango("source", "cursor", "shop", "--set", "events=5", "--json").json["moved"]
    assert [(m["before"], m["after"]) for m in moved] == [(7, 5)]
    results = dango("sync", "--json").json["results"]
    assert {t["name"]: t["rows"] for t in results[0]["tables"]}["events"] == 3


@pytest.mark.slow
def test_a_cursor_that_is_forgotten_begins_where_it_began(
    shop: Callable[..., None], dango: Dango, rows: Callable[[str], list[Any]]
) -> None:
    assert dango("sync").code == 0
    said = dango("source", "cursor", "shop", "--reset", "events")
    assert said.out.splitlines()[0] == "events: id 3 is forgotten; it begins at 0"
    assert said.err.startswith("warning: `events` appends: ")
    shown = dango("source", "cursor", "shop", "--json").json
    assert (shown["cursors"], shown["others"], shown["without"]) == ([], {"pages": ["page"]}, ["events", "rates"])
    assert dango("sync").code == 0
    assert rows("SELECT count(*) FROM raw_shop.events") == [(6,)]
    assert rows("SELECT max(id) FROM raw_shop.pages") == [(2,)]
    # All of it, and what code of the source's own remembers.
    said = dango("source", "cursor", "shop", "--reset", "--json")
    assert [(m["resource"], m["path"]) for m in said.json["moved"]] == [("events", "id"), ("pages", "")]
    assert dango("sync").code == 0
    assert rows("SELECT count(*) FROM raw_shop.pages") == [(2,)]
    assert dango("source", "cursor", "shop", "--reset", "rates").out == "nothing is stored, and so nothing to forget\n"


@pytest.mark.slow
def test_bad_wishes_change_nothing(shop: Callable[..., None], dango: Dango) -> None:
    assert dango("source", "cursor", "shop", "event").err == (
        "error: `shop` has loaded no resource `event`\n  hint: dango sync shop\n"
    )
    assert dango("sync").code == 0
    for arguments, message in {
        ("--set", "event=1"): "`shop` has loaded no resource `event` (did you mean `events`?)",
        ("--reset", "event"): "`shop` has loaded no resource `event` (did you mean `events`?)",
        ("--set", "events:idd=1"): "`events` has no cursor `idd`",
        ("--set", "rates=1"): "`rates` keeps no cursor: there is none to set",
        ("--set", "events=soon"): "'soon' is no value for the cursor `id` of `events`: it is integer, such as 1042\n",
        ("--set", "events"): "--set events: it is RESOURCE=VALUE",
        ("--set", "events=1", "--reset"): "--set names its resource itself",
    }.items():
        said = dango("source", "cursor", "shop", *arguments)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"error: {message}"), said.err
    assert value(dango) == 3


def test_a_source_at_work_is_left_alone(root: Path, shop: Callable[..., None], dango: Dango) -> None:
    assert dango("sync").code == 0
    with lock(root / ".dango" / "locks" / "shop.lock", "it"):
        for arguments in ((), ("--set", "events=1"), ("--reset",)):
            said = dango("source", "cursor", "shop", *arguments)
            assert (said.code, said.out) == (4, "")
            assert f"error: source `shop` is held by process {os.getpid()} since " in said.err
    assert value(dango) == 3


@pytest.mark.slow
def test_what_waits_to_be_loaded_comes_first(
    root: Path, tmp_path: Path, shop: Callable[..., None], dango: Dango
) -> None:
    assert dango("sync").code == 0
    shop(1, 2, 3, 4)
    killed(root, tmp_path / "fault", "dango.load.loading:load", "sync")
    for arguments in (("--set", "events=1"), ("--reset",)):
        said = dango("source", "cursor", "shop", *arguments)
        assert (said.code, said.out) == (2, "")
        assert re.match(r"error: 1 package, \d+ rows, .* of `shop` extracted and not loaded", said.err)
        assert said.err.endswith("  hint: first: dango sync shop\n")
    said = dango("source", "cursor", "shop")
    assert said.code == 0
    assert "events    id      4" in said.out
    assert "extracted and not loaded; the next sync loads that first" in said.err
    assert dango("sync").code == 0
    assert dango("source", "cursor", "shop", "--set", "events=1").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("when", one_of("after", "before"))
def test_killed_while_it_is_set_it_is_set_or_it_is_not(
    root: Path, tmp_path: Path, shop: Callable[..., None], dango: Dango, rows: Callable[[str], list[Any]], when: str
) -> None:
    assert dango("sync").code == 0
    killed(root, tmp_path / "fault", COMMIT["duckdb"], "source", "cursor", "shop", "--set", "events=2", when=when)
    # What it had begun is a package, which the next sync loads before it goes on.
    assert dango("sync").code == 0
    assert rows("SELECT id, count(*) FROM raw_shop.events GROUP BY id ORDER BY id") == [(1, 1), (2, 2), (3, 2)]
    assert value(dango) == 3


@pytest.mark.slow
def test_names_of_dlts_own_folders_are_names_like_others(write: Write, dango: Dango, root: Path) -> None:
    write({"sources": sources(native("load")), "custom_sources/shop.py": SHOP, "given.json": "[1, 2]"})
    assert dango("sync").code == 0
    shown = dango("source", "cursor", "load", "--json").json
    assert (shown["cursors"][0]["value"], shown["origin"]) == (2, "working folder")


@pytest.mark.slow
def test_a_source_whose_function_was_renamed_has_one_cursor(
    shop: Callable[..., None], write: Write, dango: Dango
) -> None:
    assert dango("sync").code == 0
    write(
        {"custom_sources/shop.py": SHOP.replace("def rows", "def again"), "sources": sources(native("shop", "again"))}
    )
    shop(4, 5)
    assert dango("sync").code == 0
    assert value(dango) == 5
    assert dango("source", "cursor", "shop", "--set", "events=4").code == 0
    tables = dango("sync", "--json").json["results"][0]["tables"]
    assert {table["name"]: table["rows"] for table in tables}["events"] == 2
    assert dango("source", "cursor", "shop", "--reset", "events").code == 0
    assert dango("source", "cursor", "shop", "--json").json["cursors"] == []


@pytest.fixture
def terminal(root: Path) -> Iterator[Callable[..., pexpect.spawn]]:
    children = []

    def start(*arguments: str) -> pexpect.spawn:
        child = pexpect.spawn(
            sys.executable, ["-m", "dango", *arguments], cwd=root, encoding="utf-8", timeout=30, dimensions=(40, 160),
            env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


@pytest.mark.slow
def test_on_a_terminal_it_says_what_it_would_do_and_asks(
    shop: Callable[..., None], dango: Dango, terminal: Callable[..., pexpect.spawn]
) -> None:
    assert dango("sync").code == 0
    for answer, after in (("n", 3), ("y", 1)):
        child = terminal("source", "cursor", "shop", "--set", "events=1")
        child.expect_exact("events: id from 3 to 1")
        child.expect_exact("Do this?")
        child.send(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert (child.exitstatus, value(dango)) == (0, after)


@pytest.mark.slow
@pytest.mark.postgres
def test_two_machines_and_one_database(
    root: Path, tmp_path: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    lake = {"LAKE": postgres.url}
    write({"sources": into_postgres(native("shop")), "custom_sources/shop.py": SHOP, "given.json": "[1, 2, 3]"})
    assert dango("sync", env=lake).code == 0
    other = tmp_path / "other"
    shutil.copytree(root, other, ignore=shutil.ignore_patterns("pipelines", "locks", "logs", "history.sqlite"))
    (other / "given.json").write_text("[1, 2, 3, 4, 5]")
    assert dango("sync", env=lake, cwd=other).code == 0
    # The folder here knows of three.
    assert value(dango, env=lake) == 5
    assert dango("source", "cursor", "shop", "--set", "events=4", env=lake).code == 0
    assert value(dango, env=lake, cwd=other) == 4
    result = dango("sync", "--json", env=lake, cwd=other).json["results"][0]
    assert {table["name"]: table["rows"] for table in result["tables"]}["events"] == 2
    with postgres.cursor() as cursor:
        cursor.execute("UPDATE raw_shop._dango_lease SET holder = 'far:1', beat = clock_timestamp()")
    said = dango("source", "cursor", "shop", "--set", "events=1", env=lake)
    assert (said.code, said.out) == (4, "")
    assert "held by process 1 on far" in said.err
    assert value(dango, env=lake) == 5


@pytest.mark.slow
@pytest.mark.postgres
def test_a_destination_that_cannot_be_reached_is_said(write: Write, dango: Dango, root: Path) -> None:
    gone = {"LAKE": "postgresql://nobody:x@127.0.0.1:1/none"}
    write({"sources": into_postgres(native("shop")), "custom_sources/shop.py": SHOP, "given.json": "[]"})
    for arguments in ((), ("--reset",)):
        said = dango("source", "cursor", "shop", *arguments, env=gone)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("error: destination `lake` cannot be used: ")
