"""What the jobs of a bench share: the data, a PostgreSQL server, the folder in which they work, the peers."""

from __future__ import annotations

import compileall
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.data import Data
from bench.measure import Contest, Contestant, Unable
from bench.peers import Input, Output, contestants
from tests.postgres_server import NoServer, Postgres, cluster, programs

HERE = Path(__file__).parent


@dataclass
class Bench:
    """Everything that a job needs besides its number of rows."""

    data: Data
    work: Path
    peers: bool
    stack: ExitStack = field(repr=False)
    _databases: list[Postgres] = field(default_factory=list)

    @cached_property
    def server(self) -> Postgres:
        """A database of a server of the bench's own, with PostgreSQL's own settings. Raises `Unable` without one."""
        found = programs()
        if found is None or shutil.which("psql") is None:
            raise Unable("no PostgreSQL here (apt-get install postgresql)")
        try:
            return self.stack.enter_context(cluster(found, {}))
        except NoServer as error:
            raise Unable(str(error)) from error

    def folder(self, name: str) -> Path:
        """A new folder of that name, which is there until `tidy`."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def database(self, name: str, template: str = "template1") -> Postgres:
        """A new, empty database, or a copy of another."""
        database = replace(self.server, database=f"{name}_{secrets.token_hex(4)}")
        self._databases.append(database)
        self.copied(database, template)
        return database

    def emptied(self, database: Postgres) -> None:
        """The same database with nothing in it."""
        self.copied(database, "template1")

    def copied(self, database: Postgres, template: str) -> None:
        """A database in place of the one of its name, with what the template holds."""
        self._dropped(database)
        with self.server.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{database.database}" TEMPLATE "{template}"')
            # What the server would write of it later would be counted to the next command.
            cursor.execute("CHECKPOINT")

    def tidy(self) -> None:
        """Takes away what the last job left: folders and databases. The data stays."""
        shutil.rmtree(self.work, ignore_errors=True)
        while self._databases:
            self._dropped(self._databases.pop())

    def _dropped(self, database: Postgres) -> None:
        with self.server.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{database.database}" WITH (FORCE)')

    def with_peers(self, own: Mapping[str, Contestant], given: Input, wanted: Output) -> Contest:
        """A contest of ours and of the peers that can do it."""
        if not self.peers:
            return Contest(own)
        theirs, skipped = contestants(given, wanted, self.folder("peers"), self.data)
        return Contest({**own, **theirs}, skipped)


@contextmanager
def opened(folder: Path, *, peers: bool = True) -> Iterator[Bench]:
    """A bench until the end of the block; `folder` keeps the data for the next one, and nothing else."""
    # As installing would: what a user waits for is no compiling.
    compileall.compile_dir(HERE.parent / "dango", quiet=1)
    with ExitStack() as stack:
        data = Data(folder / "data")
        bench = Bench(data, Path(tempfile.mkdtemp(prefix="work-", dir=folder)), peers, stack)
        try:
            yield bench
        finally:
            bench.tidy()
