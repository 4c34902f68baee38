"""Taps that keep secrets, break off, and name things as nobody should; and one that follows a database's log."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said

Write = Callable[[Mapping[str, str]], None]
Rows = Callable[[str], list[Any]]

SHOP = """\
version: 1
sources:
  - name: shop
    type: singer
    singer: {tap: "python taps/tap.py"}
"""
SECRET = "Q7secretQ7"
BEGIN = """\
import json, os, sys, time

ORDERS = {"type": "object", "properties": {"id": {"type": "integer"}}}


def say(type, **said):
    print(json.dumps({"type": type, **said}), flush=True)


def option(name):
    return json.load(open(sys.argv[sys.argv.index(name) + 1])) if name in sys.argv else None


def discover(schema=ORDERS, **about):
    if "--discover" in sys.argv:
        stream = {"tap_stream_id": "orders", "stream": "orders", "schema": schema, "key_properties": ["id"], **about}
        print(json.dumps({"streams": [stream]}))
        sys.exit()
    say("SCHEMA", stream="orders", schema=schema, key_properties=["id"])


"""
SLEEPS = """\
discover()
if os.environ.get("SLEEP"):
    open("sleeps", "w").write(str(os.getpid()))
    time.sleep(60)
say("RECORD", stream="orders", record={"id": len(option("--config")["token"])})
"""
BREAKS_OFF = """\
discover()
for n in range(1, 7):
    say("RECORD", stream="orders", record={"id": n})
    if n == 4:
        say("STATE", value={"bookmarks": {"orders": {"n": n}}})
sys.stdout.write('{"type": "RECORD", "stream": "orders", "record": {"id": 7, "na')
sys.stdout.flush()
os._exit(int(os.environ["CODE"]))
"""
NAMES = [
    '"; drop table raw_shop.orders; --', "' || (select 1) || '", "a.b", "a__b", "ä.ö ß", "ünïcode ‮ reversed", "x" * 300,
    "x" * 300 + "y", "Full Name", "full_name", "FULL-NAME", "", "_dlt_id", "1st", "select", "{0} %s $1 ?",
]  # fmt: skip
NAMED = """\
names = json.load(open("names.json"))
typed = {name: {"type": ["null", "string"]} for name in names} if os.environ.get("TYPED") else {}
discover({"type": "object", "properties": {"id": {"type": "integer"}, **typed}})
for n in range(2):
    say("RECORD", stream="orders", record={"id": n, **{name: f"value {k} of {n}" for k, name in enumerate(names)}})
"""
INSIDE = """\
alike = {"Full Name": "1", "full_name": "2", "FULL-NAME": "3"}
text = {"type": "string"}
told = {"type": "object", "properties": {name: text for name in alike}}
schema = {
    "inner": told, "inner__full_name": text, "inner__deep": text, "map": {"type": "object"},
    "rows": {"type": "array", "items": told}, "Rows": {"type": "array", "items": text},
}
discover({"type": "object", "properties": {"id": {"type": "integer"}, **(schema if os.environ.get("TYPED") else {})}})

def filled(what, mark):
    if isinstance(what, dict):
        return {name: filled(value, f"{mark} {name}") for name, value in what.items()}
    return [filled(value, f"{mark} {k}") for k, value in enumerate(what)] if isinstance(what, list) else mark

for n in range(2):
    inside = {
        "inner": {**alike, "": "", "deep": {**alike}}, "inner__full_name": "", "inner__deep": "",
        "rows": [alike, alike, [alike, "item"]], "Rows": ["item"], "map": alike,
    }
    say("RECORD", stream="orders", record={"id": n, **filled(inside, f"value of {n} at")})
"""
FOLLOWS = """\
schema = {"type": "object", "properties": {
    "id": {"type": "integer"}, "name": {"type": ["null", "string"]},
    "_sdc_deleted_at": {"type": ["null", "string"], "format": "date-time"},
    "_sdc_lsn": {"type": ["null", "integer"]},
}}
discover(schema, metadata=[{"breadcrumb": [], "metadata": {"table-key-properties": ["id"]}}])
(stream,) = option("--catalog")["streams"]
about = next(each["metadata"] for each in stream["metadata"] if not each["breadcrumb"])
if about.get("replication-method") != "LOG_BASED":
    sys.exit("asked for " + str(about))
LOG = [
    (1, "a", False), (2, "b", False),  # the table as it was
    (2, "b, corrected", False), (1, "a", True), (3, "c", False),
]
mark = ((option("--state") or {}).get("bookmarks") or {}).get("orders") or {}
after = mark.get("lsn", 0)
end = 2 if not after else len(LOG)
say("ACTIVATE_VERSION", stream="orders", version=1)
for lsn in range(after, end):
    key, name, gone = LOG[lsn]
    record = {"id": key, "name": name, "_sdc_deleted_at": "2024-01-01T00:00:00Z" if gone else None, "_sdc_lsn": lsn}
    say("RECORD", stream="orders", record=record, version=1)
say("ACTIVATE_VERSION", stream="orders", version=1)
say("STATE", value={"bookmarks": {"orders": {"lsn": end, "version": 1}}})
"""


@pytest.fixture
def tap(write: Write) -> Callable[..., None]:
    """The project, with a tap of this code."""

    def tap(code: str, sources: str = SHOP, **files: str) -> None:
        secrets = f'[sources.shop.secrets]\ntoken = "{SECRET}"\n'
        write({"sources": sources, "taps/tap.py": BEGIN + code, ".dlt/secrets.toml": secrets, **files})

    return tap


@pytest.fixture
def asleep(root: Path, tap: Callable[..., None]) -> Iterator[subprocess.Popen[str]]:
    """A sync whose tap sleeps."""
    tap(SLEEPS)
    process = subprocess.Popen(
        [sys.executable, "-m", "dango", "sync"], cwd=root, env={**os.environ, "SLEEP": "1"},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _until(lambda: (root / "sleeps").exists() and (root / "sleeps").read_text())
    yield process
    process.kill()
    process.communicate()


def _until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what processes were begun with is looked up in /proc")
def test_secrets_are_in_no_argument_and_no_environment_and_their_files_are_gone_whatever_happens(
    asleep: subprocess.Popen[str], root: Path
) -> None:
    looked = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            begun = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue  # it is gone, or another user's
        looked += b"taps/tap.py" in begun
        assert SECRET.encode() not in begun
    assert looked
    (folder,) = (root / ".dango/bridge").iterdir()
    assert SECRET in (folder / "config.json").read_text()
    modes = {path.relative_to(root).parts[0]: stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)}
    assert set(modes.values()) == {0o700}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}

    worker, child = int(folder.name.partition("-")[0]), int((root / "sleeps").read_text())
    os.kill(worker, signal.SIGKILL)
    _, said = asleep.communicate(timeout=60)
    assert asleep.returncode == 1, said
    assert SECRET not in said
    _until(lambda: not _is_there(child))
    assert not folder.exists()


@pytest.mark.slow
def test_files_of_secrets_are_gone_by_the_next_start_where_everything_was_killed(
    asleep: subprocess.Popen[str], root: Path, dango: Callable[..., Said]
) -> None:
    (folder,) = (root / ".dango/bridge").iterdir()
    asleep.kill()
    asleep.wait()
    worker, child = int(folder.name.partition("-")[0]), int((root / "sleeps").read_text())
    _until(lambda: not _is_there(child) and not _is_there(worker))
    assert folder.exists()
    said = dango("sync")
    assert said.code == 0, said.err
    assert list((root / ".dango/bridge").iterdir()) == []


def test_a_tap_is_ended_and_its_files_are_gone_where_a_sync_is_stopped(
    asleep: subprocess.Popen[str], root: Path
) -> None:
    child = int((root / "sleeps").read_text())
    asleep.send_signal(signal.SIGINT)
    asleep.communicate(timeout=60)
    assert asleep.returncode == 130
    _until(lambda: not _is_there(child))
    assert list((root / ".dango/bridge").iterdir()) == []


@pytest.mark.parametrize("code", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_half_a_record_is_never_loaded_and_what_came_before_it_neither(
    tap: Callable[..., None], dango: Callable[..., Said], rows: Rows, code: str
) -> None:
    tap(BREAKS_OFF)
    said = dango("sync", env={"CODE": code})
    assert said.code == 1
    assert '{"type": "RECORD", "stream": "orders", "record": {"id": 7, "na' in said.err
    if code == "0":
        assert "sends a message that is none" in said.err
    assert dango("tables", "--json").json["tables"] == []

    tap(BREAKS_OFF, SHOP + "    on_error: skip\n")
    said = dango("sync", env={"CODE": code})
    assert said.code == 3
    ((message,),) = [rows("select message from raw_shop._dango_errors")]
    assert "what came before its last state is loaded" in message[0]
    assert rows("select count(*), max(id) from raw_shop.orders") == [(4, 4)]


@pytest.mark.parametrize("typed", ["", pytest.param("1", marks=pytest.mark.slow)])
def test_names_of_properties_are_names_and_no_two_of_them_one_column(
    tap: Callable[..., None], dango: Callable[..., Said], rows: Rows, root: Path, typed: str
) -> None:
    tap(NAMED, **{"names.json": json.dumps(NAMES)})
    for _ in range(2):
        said = dango("sync", env={"TYPED": typed})
        assert said.code == 0, said.err
    logs = "".join(file.read_text() for file in (root / ".dango/logs").glob("*.log"))
    assert "`orders`: the property `Full Name` is called `Full Name_3`" in logs
    names = rows("select full_name, full_name_2, full_name_3, _dlt_id_2 from raw_shop.orders where id = 1")
    alike = ("full_name", "FULL-NAME", "Full Name", "_dlt_id")
    assert names == [tuple(f"value {NAMES.index(name)} of 1" for name in alike)]
    (stored,) = rows("select * from raw_shop.orders where id = 1")
    assert {f"value {k} of 1" for k in range(len(NAMES))} <= {*stored}


@pytest.mark.parametrize("typed", ["", pytest.param("1", marks=pytest.mark.slow)])
def test_no_two_properties_of_objects_and_lists_in_a_record_are_one_column(
    tap: Callable[..., None], dango: Callable[..., Said], rows: Rows, root: Path, typed: str
) -> None:
    tap(INSIDE)
    said = dango("sync", env={"TYPED": typed})
    assert said.code == 0, said.err
    tables = rows("select table_name from information_schema.tables where table_schema = 'raw_shop'")
    stored = [
        value for (table,) in tables for row in rows(f'select * from raw_shop."{table}"')
        for value in row if str(value).startswith("value of")
    ]  # fmt: skip
    # Of each record, three columns and an object of four with one of three in it, and four lists; a map has no columns.
    assert len(stored) == len(set(stored)) == 2 * (2 + 3 + 1 + 3 + 3 * 3 + 1 + 1 + (0 if typed else 3))
    found = rows("select inner__full_name, inner__full_name_2 from raw_shop.orders where id = 1")
    assert found == [("value of 1 at inner__full_name", "value of 1 at inner full_name")]
    logs = "".join(file.read_text() for file in (root / ".dango/logs").glob("*.log"))
    assert "`orders`: the property `inner.full_name` is called `full_name_2`" in logs
    assert "`orders`: the property `rows.Full Name` is called" in logs
    if typed:
        kept = rows("select map ->> 'Full Name' from raw_shop.orders order by id")
        assert kept == [(f"value of {n} at map Full Name",) for n in range(2)]


def test_a_tap_that_follows_a_log_goes_on_where_it_was_and_marks_what_is_gone(
    tap: Callable[..., None], dango: Callable[..., Said], rows: Rows
) -> None:
    tap(FOLLOWS, SHOP.replace("}", ", replication: {orders: {method: LOG_BASED}}}"))
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows("select id, name from raw_shop.orders order by id") == [(1, "a"), (2, "b")]
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows("select id, name, _sdc_deleted_at is not null from raw_shop.orders order by id") == [
        (1, "a", True), (2, "b, corrected", False), (3, "c", False),
    ]  # fmt: skip
    said = dango("sync")
    assert said.code == 0, said.err
    assert "0 rows" in said.err
