"""A PostgreSQL server of one's own: started from the machine's programs, in a temporary folder, on a free port."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import psycopg2

START_SECONDS = 60
QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "64MB"}
"""Settings for data that nobody will miss."""


class NoServer(Exception):
    """There is no PostgreSQL here, or it did not start."""


@dataclass(frozen=True)
class Postgres:
    """Where a database is and who may enter."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def url(self) -> str:
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{quote(self.database, safe='')}"

    @contextlib.contextmanager
    def cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """Each statement is its own transaction; the connection is closed at the end."""
        connection = psycopg2.connect(self.url, connect_timeout=5)
        try:
            connection.autocommit = True  # CREATE DATABASE refuses to run inside a transaction
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def programs() -> Path | None:
    """The folder of initdb and postgres: on PATH, or where Debian puts the newest."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(versions, key=lambda folder: float(folder.parent.name), default=None)


@contextlib.contextmanager
def cluster(programs: Path, settings: Mapping[str, str]) -> Iterator[Postgres]:
    """Runs a server until the end of the block.

    Args:
        programs: from `programs()`.
        settings: of the server, besides where it listens.

    Yields:
        its maintenance database.

    Raises:
        NoServer: when it does not start.
    """
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="dango-postgres-", dir=_room(owner)))
    try:
        server = Postgres("127.0.0.1", 0, "dango", secrets.token_urlsafe(16), "postgres")
        data, password_file = folder / "data", folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(server.password)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            os.chown(password_file, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [
                *_as(owner),
                programs / "initdb",
                f"--pgdata={data}",
                f"--username={server.user}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        # A free port can be taken by another process before the server has it: then another one.
        for _ in range(5):
            server = replace(server, port=free_port())
            with _process(programs, data, server, settings, owner, folder / "log") as started:
                if started:
                    yield server
                    return
        raise NoServer(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _process(
    programs: Path,
    data: Path,
    server: Postgres,
    settings: Mapping[str, str],
    owner: pwd.struct_passwd | None,
    log: Path,
) -> Iterator[bool]:
    own = {
        "listen_addresses": server.host,
        "port": str(server.port),
        "unix_socket_directories": "",  # none: a socket's path has a limit that temporary folders reach
        "max_connections": "100",
    }
    options = [word for name, value in {**settings, **own}.items() for word in ("-c", f"{name}={value}")]
    with _running([str(programs / "postgres"), "-D", str(data), *options], server, owner, log) as started:
        yield started


@contextlib.contextmanager
def _running(command: Sequence[str], server: Postgres, owner: pwd.struct_passwd | None, log: Path) -> Iterator[bool]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            # A session of its own: Ctrl-C in the terminal is for the tests, which then stop the server.
            [*_as(owner, dies_with_parent=True), *command],
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield _answers(process, server)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # its immediate one; SIGKILL would leave its children
            process.wait()


@dataclass(frozen=True)
class Crashed:
    """A server that was stopped without an end."""

    server: Postgres
    command: tuple[str, ...]
    log: Path

    @contextlib.contextmanager
    def begun_anew(self) -> Iterator[None]:
        """It runs in the block, with the data that it had. Raises `NoServer` when it does not start."""
        with _running(self.command, self.server, _owner(), self.log) as started:
            if not started:
                raise NoServer(f"PostgreSQL did not start again:\n{self.log.read_text()}")
            yield


def crash(server: Postgres) -> Crashed:
    """Stops a server of `cluster` at once, as a lack of power would; returns when it is gone."""
    with server.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        ((folder,),) = cursor.fetchall()
    data = Path(folder)
    command = shlex.split((data / "postmaster.opts").read_text())
    note = data / "postmaster.pid"
    os.kill(int(note.read_text().split()[0]), signal.SIGQUIT)
    while note.exists():
        time.sleep(0.02)
    return Crashed(server, tuple(command), data.parent / "log")


def _answers(process: subprocess.Popen[bytes], server: Postgres) -> bool:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            with server.cursor() as cursor:
                cursor.execute("SELECT 1")
            return True
        except psycopg2.OperationalError:
            time.sleep(0.05)
    return False


def _owner() -> pwd.struct_passwd | None:
    """Whom to run the server as where we are root, as whom PostgreSQL refuses to run."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServer("PostgreSQL cannot run as root, and there is no user `postgres` or `nobody`")


def _as(owner: pwd.struct_passwd | None, *, dies_with_parent: bool = False) -> list[str]:
    """The words before a command that change its user and, on Linux, tie its life to ours."""
    setpriv = shutil.which("setpriv")
    if owner is None and (setpriv is None or not dies_with_parent):
        return []
    if setpriv is None:
        raise NoServer("to start PostgreSQL as root the tests need `setpriv` (util-linux)")
    # A run that is killed cannot stop its server; the kernel does.
    pdeathsig = ["--pdeathsig", "INT"] if dies_with_parent else []
    user = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"] if owner else []
    return [setpriv, *user, *pdeathsig]


def _room(owner: pwd.struct_passwd | None) -> Path:
    """A temporary folder that the server's user can reach: root's own may be closed to others."""
    usual = Path(tempfile.gettempdir()).resolve()
    if owner is None:
        return usual
    for room in (usual, Path("/tmp"), Path("/var/tmp")):
        if all(folder.stat().st_mode & stat.S_IXOTH for folder in (room, *room.parents)):
            return room
    raise NoServer(f"no temporary folder is open to the user {owner.pw_name}")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
