"""Who may write a source of a shared destination: a row in the dataset, since machines share no kernel.

A run that has lost a job, with the machine that it ran on, begins it again: its next attempt takes the row from the one
before at once, which is then fenced like any other. And since that one may have loaded all before it was lost, the
transaction that loads a job whole says so in the row.

The row's epoch grows with every run that takes it. A run shows a sign of life every so often; one that shows none
for `SECONDS` has lost the row to whoever wants it, without a word to it. So the transaction that makes rows visible
locks the row and looks at the epoch: it is this run's, or nothing is loaded. To take the row waits for such a
transaction to end, also one whose process is dead and which the server has not noticed yet.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError

from dango import durations
from dango.dlt_internals.packages import connected
from dango.errors import Held
from dango.lock import alive

SECONDS = 60.0
"""For how long a sign of life holds. `DANGO_LEASE_SECONDS` says otherwise, for all machines of a project alike."""
TABLE = "_dango_lease"
_SIGNS = 4
"""So many signs of life in that time: one that is late, by a busy machine or network, is no death."""

_RACES = 5
"""So often it is tried to make the table: another may be first with its schema, and then with itself."""
_DYING = 60.0
"""How long the server may take to find that a process which held the row is dead, seconds."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one run to write one source.

    Attributes:
        source: its name.
        epoch: how often the right has been taken.
        run: the name of the run.
        loaded: what an attempt of this run that has loaded the job said of it; None where none has.
    """

    source: str
    epoch: int
    run: str = ""
    loaded: Mapping[str, Any] | None = None

    def require(self, sql: Any, *, lock: bool) -> None:
        """Makes sure that the right is still this run's.

        Args:
            sql: an open client of dlt's.
            lock: hold it until the end of the transaction under way.

        Raises:
            Held: when another run has taken it; it names that one.
        """
        # Signs of life go on meanwhile; who wants to take the row waits.
        locking = " FOR KEY SHARE" if lock else ""
        rows = sql.execute_sql(
            f"SELECT epoch, holder, since FROM {_table(sql)} WHERE source = %s{locking}", self.source
        )
        epoch, holder, since = rows[0] if rows else (0, "nobody", None)
        if epoch != self.epoch:
            raise Held(
                f"source `{self.source}` was taken over by {_told(holder, since)}, as this run had given no sign of"
                f" life for {seconds():g} s; nothing was loaded",
                f"what it has loaded is safe; to go on from there: dango sync {self.source}",
            )

    def note(self, sql: Any, loaded: Mapping[str, Any]) -> None:
        """Says, in the transaction under way, that with it the job is loaded: for an attempt that comes after."""
        done = json.dumps({"run": self.run, "loaded": loaded})
        sql.execute_sql(
            f"UPDATE {_table(sql)} SET loaded = %s WHERE source = %s AND epoch = %s", done, self.source, self.epoch
        )


def seconds() -> float:
    """For how long a sign of life holds."""
    return durations.seconds(os.environ, "DANGO_LEASE_SECONDS", SECONDS, threading.TIMEOUT_MAX)


@contextmanager
def lease(connect: Callable[[], Any], source: str, run: str, wait: float, *, again: bool = False) -> Iterator[Lease]:
    """Takes the right to write a source, shows signs of life, and gives it back at the end.

    Args:
        connect: gives a client of dlt's for the dataset in which the row is, not open yet.
        source: whose.
        run: the name of this run.
        wait: for how many seconds to wait for another run that has it.
        again: whether an earlier attempt of this run may have it: it is taken from that one.

    Raises:
        Held: when another run has it.
    """
    end = time.monotonic() + wait
    client = connect()
    with connected(client) as sql:
        _prepare(sql)
        while (taken := _take(sql, source, run, heir=run if again else "")) is None:
            if time.monotonic() >= end:
                raise _held(sql, source)
            time.sleep(min(0.5, seconds() / _SIGNS))
    stop = threading.Event()
    signs = threading.Thread(target=_show, args=(connect(), taken, stop), daemon=True)
    signs.start()
    try:
        yield taken
    finally:
        stop.set()
        signs.join()
        # Where that fails nothing is lost: without signs of life the row is free in a while.
        with suppress(DatabaseException, DestinationConnectionError), connected(client) as sql:
            _sign(sql, taken, "NULL")


def _table(sql: Any) -> str:
    return str(sql.make_qualified_table_name(TABLE))


def _prepare(sql: Any) -> None:
    for nth in range(1, _RACES + 1):
        if _there(sql):
            return
        try:
            _make(sql)
        except DatabaseException:
            # Of two that make the schema, or the table, at the same instant, PostgreSQL refuses one.
            if nth == _RACES:
                raise


def _there(sql: Any) -> bool:
    # Also whether it has the column that came last.
    column = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'loaded'"
    return bool(sql.execute_sql(column, _table(sql)))


def _make(sql: Any) -> None:
    sql.execute_sql(f"CREATE SCHEMA IF NOT EXISTS {sql.fully_qualified_dataset_name()}")
    sql.execute_sql(
        f"CREATE TABLE IF NOT EXISTS {_table(sql)} (source text PRIMARY KEY, epoch bigint NOT NULL, run text NOT NULL,"
        " holder text NOT NULL, since timestamptz NOT NULL, beat timestamptz)"
    )
    sql.execute_sql(f"ALTER TABLE {_table(sql)} ADD COLUMN IF NOT EXISTS loaded text")


def _take(sql: Any, source: str, run: str, heir: str) -> Lease | None:
    """The row, if nobody has it. Time is the server's: the machines' clocks may differ."""
    table = _table(sql)
    sql.execute_sql(
        f"INSERT INTO {table} (source, epoch, run, holder, since) VALUES (%s, 0, '', '', now()) ON CONFLICT DO NOTHING",
        source,
    )
    if not _free(sql, source, heir):
        return None
    with sql.begin_transaction():
        # A transaction that loads holds the row; it ends, or the server finds that its process has.
        sql.execute_sql(f"SET LOCAL lock_timeout = '{_DYING:g}s'")
        sql.execute_sql(f"SELECT 1 FROM {table} WHERE source = %s FOR UPDATE", source)
        if not _free(sql, source, heir):
            return None
        ((epoch, note),) = sql.execute_sql(
            f"UPDATE {table} SET epoch = epoch + 1, run = %s, holder = %s, since = now(), beat = clock_timestamp()"
            " WHERE source = %s RETURNING epoch, loaded",
            run,
            _me(),
            source,
        )
    done = json.loads(note) if note else {}
    return Lease(source, epoch, run, done["loaded"] if done.get("run") == run else None)


def _free(sql: Any, source: str, heir: str = "") -> bool:
    ((run, holder, age),) = sql.execute_sql(
        f"SELECT run, holder, extract(epoch FROM clock_timestamp() - beat) FROM {_table(sql)} WHERE source = %s",
        source,
    )
    if heir and run == heir:
        return True
    # One from the future was given before the server's clock was set back, and its giver soon gives another.
    return age is None or abs(age) > seconds() or _dead(holder)


def _dead(holder: str) -> bool:
    """Whether it was a process of this machine that is no more; its kernel knows at once."""
    host, _, pid = holder.rpartition(":")
    return host == socket.gethostname() and not alive(int(pid))


def _held(sql: Any, source: str) -> Held:
    ((holder, since, age),) = sql.execute_sql(
        f"SELECT holder, since, extract(epoch FROM clock_timestamp() - beat) FROM {_table(sql)} WHERE source = %s",
        source,
    )
    ago = max(float(age or 0), 0)
    return Held(
        f"source `{source}` is held by {_told(holder, since)}, whose last sign of life was {ago:.0f} s ago",
        f"wait for it to end, or let this one wait with `--wait SECONDS`; {seconds():g} s without a sign set it free",
    )


def _told(holder: str, since: dt.datetime | None) -> str:
    host, _, pid = holder.rpartition(":")
    started = f" since {since.astimezone(dt.timezone.utc).isoformat(timespec='seconds')}" if since else ""
    return f"process {pid} on {host}{started}" if host else f"{holder}{started}"


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _show(client: Any, taken: Lease, stop: threading.Event) -> None:
    while not stop.wait(seconds() / _SIGNS):
        # A sign that cannot be given is one that is missing; the next may come through.
        with suppress(DatabaseException, DestinationConnectionError), connected(client) as sql:
            _sign(sql, taken, "clock_timestamp()")


def _sign(sql: Any, taken: Lease, value: str) -> None:
    sql.execute_sql(
        f"UPDATE {_table(sql)} SET beat = {value} WHERE source = %s AND epoch = %s",
        taken.source,
        taken.epoch,
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that is taken, as who looks from outside sees it."""

    lease: Lease
    holder: str
    """In words."""
    abandoned: bool
    """Whether the next run takes it without waiting: its holder is dead, or shows no sign of life."""


def taken(sql: Any, source: str) -> Taken | None:
    """Who has the row of a source, in a dataset that has the table; None where nobody has."""
    rows = sql.execute_sql(
        f"SELECT epoch, holder, since FROM {_table(sql)} WHERE source = %s AND beat IS NOT NULL",
        source,
    )
    if not rows:
        return None
    ((epoch, holder, since),) = rows
    return Taken(Lease(source, epoch), _told(holder, since), _free(sql, source))


def release(sql: Any, lease: Lease) -> None:
    """Gives the row back, unless another run has taken it meanwhile."""
    _sign(sql, lease, "NULL")
