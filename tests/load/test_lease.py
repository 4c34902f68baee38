"""A row in a shared destination says who may write a source; the epoch fences off who has lost it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import psycopg2
import pytest

from dango.dlt_internals.packages import connected
from dango.errors import Held
from dango.load.lease import TABLE, lease
from tests.fixtures_postgres import Postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def connect(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    pipeline = dlt.pipeline(
        "shop", str(tmp_path), destination=dlt.destinations.postgres(postgres.url), dataset_name="raw_shop"
    )
    return pipeline.sql_client


@pytest.fixture
def elsewhere(postgres: Postgres) -> Callable[..., None]:
    """Makes the row's holder one of another machine, which gave its last sign of life some seconds ago."""

    def elsewhere(seconds: float) -> None:
        with postgres.cursor() as cursor:
            cursor.execute(
                f"UPDATE raw_shop.{TABLE} SET holder = 'far:1', beat = clock_timestamp() - %s * interval '1 s'",
                (seconds,),
            )

    return elsewhere


def test_the_row_is_taken_and_given_back(connect: Callable[[], Any], postgres: Postgres) -> None:
    for epoch in (1, 2):
        with lease(connect, "shop", "run", 0) as taken:
            assert taken.epoch == epoch
            with postgres.cursor() as cursor:
                cursor.execute(f"SELECT run, holder, beat IS NULL FROM raw_shop.{TABLE}")
                assert cursor.fetchall() == [("run", f"{socket.gethostname()}:{os.getpid()}", False)]
    with postgres.cursor() as cursor:
        cursor.execute(f"SELECT beat FROM raw_shop.{TABLE}")
        assert cursor.fetchall() == [(None,)]


def test_a_sign_of_life_from_the_future_is_none_as_the_servers_clock_was_set_back(
    connect: Callable[[], Any], elsewhere: Callable[..., None]
) -> None:
    with lease(connect, "shop", "run", 0):
        elsewhere(-30)
        with pytest.raises(Held, match="last sign of life was 0 s ago"), lease(connect, "shop", "other", 0):
            pass
        elsewhere(-86_400)
        with lease(connect, "shop", "other", 0) as taken:
            assert taken.epoch == 2


def test_who_has_it_is_told_and_waited_for(connect: Callable[[], Any], elsewhere: Callable[..., None]) -> None:
    with lease(connect, "shop", "first", 0):
        elsewhere(3)
        with pytest.raises(
            Held, match=r"source `shop` is held by process 1 on far since 20\d\d-.*last sign .* [3-9] s ago"
        ):
            lease(connect, "shop", "second", 0).__enter__()
        threading.Timer(0.6, elsewhere, [100]).start()
        with lease(connect, "shop", "second", 10) as taken:
            assert taken.epoch == 2


def test_who_was_away_for_too_long_finds_that_it_has_lost_it(
    connect: Callable[[], Any], elsewhere: Callable[..., None]
) -> None:
    with lease(connect, "shop", "first", 0) as first:
        with connected(connect()) as sql:
            first.require(sql, lock=False)
        elsewhere(61)
        with lease(connect, "shop", "second", 0) as second, connected(connect()) as sql:
            second.require(sql, lock=False)
            with pytest.raises(Held, match="was taken over by process"), sql.begin_transaction():
                first.require(sql, lock=True)


def test_a_dead_process_of_this_machine_is_not_waited_for(connect: Callable[[], Any], postgres: Postgres) -> None:
    with lease(connect, "shop", "first", 0), postgres.cursor() as cursor:
        cursor.execute(f"UPDATE raw_shop.{TABLE} SET holder = %s", (f"{socket.gethostname()}:{2**22 + 1}",))
        with lease(connect, "shop", "second", 0) as taken:
            assert taken.epoch == 2


def test_a_transaction_that_loads_is_waited_for_also_when_its_process_seems_dead(
    connect: Callable[[], Any], elsewhere: Callable[..., None], postgres: Postgres
) -> None:
    order: list[str] = []

    def dies() -> None:
        time.sleep(1)
        order.append("the server has noticed")
        dying.rollback()

    with lease(connect, "shop", "first", 0):
        elsewhere(100)
        dying = psycopg2.connect(postgres.url)
        with dying.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM raw_shop.{TABLE} FOR KEY SHARE")
        threading.Thread(target=dies).start()
        with lease(connect, "shop", "second", 0):
            order.append("taken")
        dying.close()
    assert order == ["the server has noticed", "taken"]


def test_signs_of_life_go_on_while_a_transaction_loads(
    connect: Callable[[], Any], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANGO_LEASE_SECONDS", "0.4")
    beats = f"SELECT beat FROM raw_shop.{TABLE}"
    with lease(connect, "shop", "run", 0) as taken, connected(connect()) as sql, sql.begin_transaction():
        taken.require(sql, lock=True)
        with postgres.cursor() as cursor:
            cursor.execute(beats)
            (first,) = cursor.fetchall()
            end = time.monotonic() + 5
            while time.monotonic() < end:
                cursor.execute(beats)
                if cursor.fetchall() != [first]:
                    return
                time.sleep(0.05)
    pytest.fail("no sign of life within five seconds")


def test_many_that_begin_at_once_take_it_one_after_the_other(connect: Callable[[], Any]) -> None:
    inside, most, epochs = [0], [0], []
    turn = threading.Lock()

    def run() -> None:
        with lease(connect, "shop", "run", 30) as taken:
            with turn:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                epochs.append(taken.epoch)
            time.sleep(0.02)
            with turn:
                inside[0] -= 1

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], sorted(epochs)) == (1, [1, 2, 3, 4, 5, 6])


def test_the_next_attempt_of_a_run_takes_the_row_from_the_one_before(
    connect: Callable[[], Any], elsewhere: Callable[..., None]
) -> None:
    with lease(connect, "shop", "run", 0) as lost:
        elsewhere(1)
        with pytest.raises(Held), lease(connect, "shop", "another", 0, again=True):
            pass
        with pytest.raises(Held), lease(connect, "shop", "run", 0):
            pass
        with lease(connect, "shop", "run", 0, again=True) as taken, connected(connect()) as sql:
            taken.require(sql, lock=False)
            with pytest.raises(Held, match="was taken over"):
                lost.require(sql, lock=False)


def test_an_attempt_leaves_word_of_what_it_has_loaded_to_its_own_run_alone(connect: Callable[[], Any]) -> None:
    said = {"status": "ok", "rows": {"orders": 7}}
    with lease(connect, "shop", "run", 0) as first, connected(connect()) as sql:
        assert first.loaded is None
        with sql.begin_transaction():
            first.note(sql, said)
    with lease(connect, "shop", "run", 0, again=True) as second:
        assert second.loaded == said
    with lease(connect, "shop", "later", 0) as other:
        assert other.loaded is None


def test_a_row_that_an_older_dango_made_gets_the_new_column(connect: Callable[[], Any], postgres: Postgres) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE SCHEMA raw_shop")
        cursor.execute(
            f"CREATE TABLE raw_shop.{TABLE} (source text PRIMARY KEY, epoch bigint NOT NULL, run text NOT NULL,"
            " holder text NOT NULL, since timestamptz NOT NULL, beat timestamptz)"
        )
        cursor.execute(f"INSERT INTO raw_shop.{TABLE} VALUES ('shop', 41, 'old', '', now(), NULL)")
    with lease(connect, "shop", "run", 0) as taken:
        assert (taken.epoch, taken.loaded) == (42, None)
