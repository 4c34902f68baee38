"""Real MariaDB for tests: the fixture `mariadb` is a database of the test's own.

Enabled by `pytest_plugins` in tests/conftest.py. The server is started from the machine's MariaDB, in a temporary
folder, on a free port of 127.0.0.1; each xdist worker has its own. Without MariaDB the tests are skipped; with CI
set they fail.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pymysql
import pytest

from tests.postgres_server import free_port

START_SECONDS = 60


@dataclass(frozen=True)
class MariaDB:
    """Where a database is and who may enter."""

    host: str
    port: int
    user: str
    password: str
    database: str
    socket: Path

    @contextlib.contextmanager
    def cursor(self) -> Iterator[pymysql.cursors.Cursor]:
        """Each statement is its own transaction; the connection is closed at the end."""
        connection = pymysql.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, database=self.database,
            autocommit=True, connect_timeout=5,
        )  # fmt: skip
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """A server, by its own database `mysql`; tests use `mariadb`."""
    server, install = _program("mariadbd", "mysqld"), _program("mariadb-install-db", "mysql_install_db")
    if server is None or install is None:
        reason = "no MariaDB here: apt-get install mariadb-server"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    # Not the test's own folder: the path of a socket has a limit that temporary folders reach.
    folder = Path(tempfile.mkdtemp(prefix="dango-mariadb-", dir="/tmp"))
    try:
        yield from _started(server, _installed(install, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mariadb(mariadb_server: MariaDB) -> Iterator[MariaDB]:
    """A new, empty database; dropped after the test."""
    database = replace(mariadb_server, database=f"dango_{secrets.token_hex(8)}")
    with mariadb_server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{database.database}`")
    yield database
    with mariadb_server.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS `{database.database}`")


def _program(*names: str) -> str | None:
    """The first of the programs that is there; servers are often not on a user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _installed(install: str, folder: Path) -> Path:
    """The folder with a new data folder in it, and the statements that make the tests' user."""
    subprocess.run(
        [install, "--no-defaults", f"--datadir={folder / 'data'}", f"--user={_user()}", "--skip-test-db",
         "--auth-root-authentication-method=normal", "--skip-name-resolve"],
        check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


def _started(program: str, folder: Path) -> Iterator[MariaDB]:
    password = secrets.token_urlsafe(16)
    init = folder / "init.sql"
    init.touch(mode=0o600)
    init.write_text(
        f"CREATE USER IF NOT EXISTS 'dango'@'%' IDENTIFIED BY '{password}';\n"
        f"SET PASSWORD FOR 'dango'@'%' = PASSWORD('{password}');\n"
        "GRANT ALL PRIVILEGES ON *.* TO 'dango'@'%' WITH GRANT OPTION;\n"
    )
    # A free port can be taken by another process before the server has it: then another one.
    for _ in range(5):
        server = MariaDB("127.0.0.1", free_port(), "dango", password, "mysql", folder / "socket")
        with _process(program, folder, server, init) as started:
            if started:
                yield server
                return
    pytest.fail(f"MariaDB did not start:\n{(folder / 'log').read_text()}", pytrace=False)


@contextlib.contextmanager
def _process(program: str, folder: Path, server: MariaDB, init: Path) -> Iterator[bool]:
    # A run that is killed cannot stop its server; the kernel does.
    setpriv = shutil.which("setpriv")
    with (folder / "log").open("ab") as out:
        process = subprocess.Popen(
            [
                *([setpriv, "--pdeathsig", "TERM"] if setpriv else []),
                program,
                "--no-defaults",
                f"--datadir={folder / 'data'}",
                f"--user={_user()}",
                f"--bind-address={server.host}",
                f"--port={server.port}",
                f"--socket={server.socket}",
                f"--pid-file={folder / 'pid'}",
                f"--init-file={init}",
                "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=64M",
                "--default-time-zone=+05:00",  # not UTC: what hangs on the server's zone shows
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield _answers(process, server)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[bytes], server: MariaDB) -> bool:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            with server.cursor() as cursor:
                cursor.execute("SELECT 1")
            return True
        except pymysql.err.OperationalError:
            time.sleep(0.05)
    return False
