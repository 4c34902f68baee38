"""Where a sync is killed: one table. A function that stands here and is never called fails the case that names it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

DUCKDB, POSTGRES = DESTINATIONS = ("duckdb", "postgres")

FOLDERS = ("kept", "lost", "older", "pending", "abandoned")
"""What becomes of the working folder after a kill: an older copy of it is of an earlier sync; of a killed one whose
package was loaded later; or of a killed one whose package never was, as its folder was lost and its rows were extracted
again."""

PIPELINE = "dlt.pipeline.pipeline:Pipeline"
STORAGE = "dlt.common.storages"
COMMIT = {
    DUCKDB: "dlt.destinations.impl.duckdb.sql_client:DuckDbSqlClient.commit_transaction",
    POSTGRES: "dlt.destinations.impl.postgres.sql_client:Psycopg2SqlClient.commit_transaction",
}

REFRESHED = ("customers", "orders", "stock")
_ALL, _SOME = ("--full-refresh",), ("--full-refresh", *(word for name in REFRESHED for word in ("--resource", name)))
ACTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sync": ((),),
    "refresh": (_ALL,),
    "partial": (_SOME,),
    "again": ((), ()),
    "putback": (_ALL, ()),
    "anew": ((), _ALL),
}
"""The options of the syncs of which each is killed: the last at the point in question, one before it when it has
normalised. A usual sync; a full refresh of all; of some resources; a sync that takes up what a killed one left; one
that takes back a killed refresh; a refresh that drops what a killed sync left."""


@dataclass(frozen=True)
class Fault:
    """The n-th call of a function, and when its process is killed, or held: before it, during it, after it; for a
    context manager also when its block has been left, before (`leaving`) or after (`left`) the manager is told."""

    function: str
    when: str
    nth: int = 1
    process: str = "worker"
    of: str = ""
    """Only calls with an argument in whose text this stands are counted."""
    delay: float = 0.0
    """For `during`: seconds from the call to the kill, which comes with the call's end at the latest."""
    held: bool = False
    """The process is not killed, but waits until it is told to go on."""

    def asdict(self) -> dict[str, Any]:
        """What the hook reads."""
        return asdict(self)


@dataclass(frozen=True)
class Point:
    """A step of a sync, and which kills at it are tried."""

    name: str
    function: str
    whens: tuple[str, ...] = ("before", "after")
    nths: tuple[int, ...] = (1,)
    process: str = "worker"
    of: str = ""
    delay: float = 0.0
    actions: tuple[str, ...] = (*ACTIONS,)
    destinations: tuple[str, ...] = DESTINATIONS
    folders: tuple[str, ...] = FOLDERS

    def faults(self, destination: str) -> Iterator[tuple[str, Fault]]:
        """Each kill with its name, for a destination."""
        for nth in self.nths if destination in self.destinations else ():
            for when in self.whens:
                name = f"{self.name}{nth if len(self.nths) > 1 else ''}.{when}"
                yield name, Fault(self.function, when, nth, self.process, self.of, self.delay)


SOURCE = "dango.load.source_pipeline:SourcePipeline"
FOLDER = "dango.load.working_folder"
RENAME = "pathlib:Path.rename"
PLANNER = "planner"
_WHOLE = ("refresh", "anew")
_KEEPING = ("sync", "partial", "again", "putback")
_AROUND = ("before", "during", "after")

POINTS = (
    # Recover.
    Point("recover", f"{SOURCE}.recover"),
    Point("compare", f"{SOURCE}._compare", actions=(*(action for action in ACTIONS if action != "putback"),)),
    # DuckDB's file is known since the refresh that was killed, and opened only for a folder that is another.
    Point("compare", f"{SOURCE}._compare", actions=("putback",), folders=FOLDERS[1:]),
    Point("restore", f"{PIPELINE}.sync_destination", actions=(*_WHOLE, "again")),
    Point("note", f"{FOLDER}:note"),
    Point("noted", f"{FOLDER}:note", nths=(2,), actions=(*_WHOLE, "again")),
    Point("aside", f"{FOLDER}:set_aside", actions=("again", "putback"), folders=("abandoned",)),
    Point("putback", f"{FOLDER}:give_up", actions=("putback",), folders=("kept", "lost")),
    # The folder as it was, kept for the case of a failure.
    Point("keep", RENAME, of=".copying", actions=_KEEPING),
    Point("anew", RENAME, of=".before-refresh", actions=_WHOLE, folders=("kept",)),
    # Extract.
    Point("extract", f"{PIPELINE}.extract", _AROUND, delay=0.1),
    Point("page", "custom_sources.upstream:page", ("before",), nths=(1, 3, 6)),
    Point("extracted", "dlt.extract.extract:Extract.commit_packages"),
    Point("statesave", f"{PIPELINE}._save_state"),
    # Normalise.
    Point("normalize", f"{PIPELINE}.normalize", _AROUND, delay=0.05),
    Point("normalized", f"{STORAGE}.load_storage:LoadStorage.commit_new_load_package"),
    # Load.
    Point("load", "dango.load.loading:load", _AROUND, delay=0.2),
    Point("prepare", "dango.load.loading:_prepare"),
    Point("insert", "dango.load.loading:_insert", _AROUND, delay=0.05),
    Point("copy", "dango.load.loading:_copy", nths=(2, 6)),
    Point("view", "dango.load.merging:create_view", nths=(1, 3), actions=("sync", "again"), destinations=(DUCKDB,)),
    Point("index", "dango.load.indexing:index_keys", destinations=(POSTGRES,)),
    # Where nothing is there any more, nothing is merged.
    Point("followup", "dango.dlt_internals.packages:run", nths=(1, 2), actions=("sync", "again")),
    Point("commit", COMMIT[DUCKDB], _AROUND, (1,), destinations=(DUCKDB,)),
    Point("commit", COMMIT[POSTGRES], _AROUND, (1, 2, 3), destinations=(POSTGRES,)),
    Point("transaction", "dango.dlt_internals.packages:one_transaction", ("leaving", "left")),
    # What is loaded is forgotten, then the folder as it was.
    Point("remove", "dango.dlt_internals.packages:remove"),
    Point("gone", RENAME, of=".gone"),
    Point("letgo", f"{FOLDER}:let_go"),
    Point("dropped", RENAME, of=".dropped"),
    Point("delete", "shutil:rmtree", _AROUND, of=".dropped", delay=0.001),
    Point("verify", "dango.load.pipeline:table_results"),
    # The lease of a destination that machines share.
    Point("take", "dango.load.lease:_take", destinations=(POSTGRES,)),
    Point("lease", "dango.load.lease:lease", ("leaving", "left"), destinations=(POSTGRES,)),
    # History.
    Point("history", "dango.history:History.record", nths=(1, 2), process=PLANNER),
    Point("historycommit", "dango.history:History._open", ("leaving", "left"), (1, 2), PLANNER),
)
"""Every step that has a name. Instants without one are the business of random kills."""
