"""Singer taps as sources: programs that are not ours, run as they are."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said
from tests.connectors.taps import TAP

Write = Callable[[Mapping[str, str]], None]
Rows = Callable[[str], list[Any]]

SHOP = """\
version: 1
sources:
  - name: shop
    type: singer
    singer: {tap: "python taps/tap.py", config: {account: 7, day: 2024-01-01, at: 2024-01-01T00:00:00Z}}
"""


@pytest.fixture(autouse=True)
def _shop(write: Write) -> None:
    write({"sources": SHOP, "taps/tap.py": TAP, ".dlt/secrets.toml": '[sources.shop.secrets]\ntoken = "Q7secretQ7"\n'})


def test_a_tap_loads_all_that_it_discovers_then_what_is_new(dango: Callable[..., Said], rows: Rows) -> None:
    assert dango("check").code == 0
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows('select id, amount, "at"::varchar from raw_shop.orders order by id')[0] == (
        1,
        1.5,
        "2024-01-01 00:00:00+00",
    )
    assert rows("select count(*), count(full_name), min(address__town) from raw_shop.people") == [(5, 0, "Ulm")]
    assert rows("select count(*) from raw_shop.people__tags") == [(10,)]

    said = dango("sync", env={"ROWS": "8"})
    assert said.code == 0, said.err
    loaded = {table["name"]: table["rows"] for table in dango("history", "--json").json["runs"][0][0]["tables"]}
    # What is read whole each time takes the place of what was; of the others only what is new came.
    assert loaded == {"orders": 3, "people": 8, "people__tags": 16, "events": 3}
    assert rows("select count(*) from raw_shop.events") == rows("select count(*) from raw_shop.people") == [(8,)]


def test_a_tap_that_fails_loads_nothing_and_the_next_sync_goes_on_where_the_last_good_one_ended(
    dango: Callable[..., Said], rows: Rows, root: Path
) -> None:
    assert dango("sync").code == 0
    said = dango("sync", env={"ROWS": "9", "FAULT": "crash at 8"})
    assert said.code == 1
    assert "`python taps/tap.py` failed (exit code 1): refused: ***" in said.err
    assert "Q7secretQ7" not in said.err + said.out
    assert rows("select count(*) from raw_shop.orders") == [(5,)]
    assert dango("sync", env={"ROWS": "9"}).code == 0
    for table in ("orders", "people", "events"):
        assert rows(f"select count(*) from raw_shop.{table}") == [(9,)]
    assert list((root / ".dango/bridge").iterdir()) == []


def test_what_came_before_the_last_state_is_kept_where_that_is_asked_for(
    dango: Callable[..., Said], rows: Rows, write: Write
) -> None:
    write({"sources": SHOP + "    on_error: skip\n"})
    said = dango("sync", env={"ROWS": "9", "FAULT": "crash at 7"})
    assert said.code == 3, said.err
    assert "what came before its last state is loaded" in said.out + said.err
    for table in ("orders", "people", "events"):
        assert rows(f"select count(*) from raw_shop.{table}") == [(6,)]
    said = dango("sync", env={"ROWS": "9"})
    assert said.code == 0, said.err
    for table in ("orders", "people", "events"):
        assert rows(f"select count(*) from raw_shop.{table}") == [(9,)]
    assert rows("select count(distinct what) from raw_shop.events") == [(9,)]


def test_only_the_streams_that_are_named_are_asked_for(dango: Callable[..., Said], rows: Rows, write: Write) -> None:
    write({"sources": SHOP + "    resources: [events]\n"})
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows(
        "select table_name from information_schema.tables where table_schema = 'raw_shop'"
        " and table_name not like '\\_dlt%' escape '\\'"
    ) == [("events",)]
    write({"sources": SHOP + "    resources: [event]\n"})
    said = dango("sync")
    assert said.code == 2
    assert ".dango/sources.yml:6:5: `python taps/tap.py` has no stream `event` (did you mean `events`?)" in said.err


def test_streams_of_a_tap_that_discovers_nothing_are_named(
    dango: Callable[..., Said], rows: Rows, write: Write
) -> None:
    said = dango("sync", env={"FAULT": "no discovery"})
    assert said.code == 1
    assert "unknown option --discover" in said.err
    write({"sources": SHOP + "    resources: [orders, people]\n"})
    said = dango("sync", env={"FAULT": "no discovery"})
    assert said.code == 0, said.err
    assert rows("select count(*) from raw_shop.orders") == rows("select count(*) from raw_shop.people") == [(5,)]


def test_a_value_that_the_schema_does_not_tell_stands_in_a_column_beside(
    dango: Callable[..., Said], rows: Rows
) -> None:
    said = dango("sync", env={"FAULT": "odd"})
    assert said.code == 0, said.err
    assert rows("select amount, amount__v_text from raw_shop.orders order by id")[:2] == [
        (1.5, None),
        (None, "of no number"),
    ]


def test_a_full_refresh_begins_without_the_taps_state(dango: Callable[..., Said], rows: Rows) -> None:
    assert dango("sync").code == 0
    said = dango("sync", "--full-refresh", env={"ROWS": "3"})
    assert said.code == 0, said.err
    assert rows("select count(*) from raw_shop.orders") == rows("select count(*) from raw_shop.events") == [(3,)]


def test_a_preview_shows_the_first_rows_of_each_stream_and_moves_nothing(
    dango: Callable[..., Said], root: Path
) -> None:
    said = dango("preview", "shop", "--limit", "2", "--json")
    assert said.code == 0, said.err
    assert [sample["resource"] for sample in said.json["resources"]] == ["orders", "people", "events"]
    assert not (root / "data" / "warehouse.duckdb").exists()


def test_how_a_stream_is_read_may_be_said(dango: Callable[..., Said], rows: Rows, write: Write) -> None:
    whole = SHOP.replace("00Z}}", "00Z}, replication: {events: {method: FULL_TABLE}}}")
    write({"sources": whole})
    for _ in range(2):
        said = dango("sync", "--resource", "events")
        assert said.code == 0, said.err
    write({"sources": whole.replace("FULL_TABLE", "INCREMENTAL")})
    said = dango("sync")
    assert said.code == 2
    assert "INCREMENTAL needs a `key`" in said.err


def test_a_program_that_is_not_there_is_told_with_what_brings_it(dango: Callable[..., Said], write: Write) -> None:
    write({"sources": SHOP.replace("python taps/tap.py", "tap-nowhere")})
    said = dango("sync")
    assert said.code == 2
    assert "no program `tap-nowhere`" in said.err
    assert "environment: requirements:" in said.err


def test_what_a_killed_tap_has_left_is_taken_away_by_the_next(dango: Callable[..., Said], root: Path) -> None:
    left = root / ".dango" / "bridge" / "99999999-left"
    left.mkdir(parents=True)
    (left / "config.json").write_text("{}")
    assert dango("sync").code == 0
    assert not left.exists()
    assert stat.S_IMODE((root / ".dango").stat().st_mode) == 0o700


def test_a_secret_is_put_into_the_settings_as_deep_as_it_stands(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    tap = TAP.replace("fault = os", 'open("told", "w").write(json.dumps(config))\nfault = os')
    settings = "{account: 7, auth: {user: ann}}"
    write({
        "sources": re.sub("config: {.*?}", f"config: {settings}", SHOP), "taps/tap.py": tap,
        ".dlt/secrets.toml": '[sources.shop.secrets.auth]\ntoken = "Q7secretQ7"\n',
    })  # fmt: skip
    assert dango("sync").code == 0
    assert json.loads((root / "told").read_text()) == {"account": 7, "auth": {"user": "ann", "token": "Q7secretQ7"}}
