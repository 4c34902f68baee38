"""A source's dlt pipeline on its working folder: brought up to date with the destination, loaded from, given up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import dlt
from dlt.common.schema.typing import VERSION_TABLE_NAME

from dango import columnar, external
from dango.dlt_internals import packages as dlt_packages
from dango.dlt_internals import state as dlt_state
from dango.dlt_internals.names import TRACE_FILE_NAME
from dango.dlt_internals.packages import Client, Package
from dango.dlt_internals.tables import TRANSACTIONAL
from dango.errors import root_cause
from dango.external import Mistaken
from dango.job import Job
from dango.load import dataset, loading, working_folder
from dango.load.connection import connecting, made
from dango.load.known_file import KnownFile
from dango.load.lease import Lease, lease
from dango.load.loading import Loaded, Look, Moment
from dango.load.overtaken import Overtaken, final
from dango.load.progress import Progress


class SourcePipeline:
    """The pipeline of one job.

    Attributes:
        pipeline: dlt's; another one after `recover` and `give_up`, for dlt reads a folder's state once.
    """

    def __init__(self, job: Job, folder: Path, progress: Progress) -> None:
        self._job = job
        self._folder = folder
        self._progress = progress
        self._basis: working_folder.Loads | None = None
        self._datasets: Collection[str] = ()
        self._lease: Lease | None = None
        self._atomic = job.destination.type in TRANSACTIONAL
        self._database = KnownFile()
        self._loading = self._blank = False
        self.pipeline = self._open()

    @contextmanager
    def leased(self) -> Iterator[None]:
        """Holds the source against other machines, where the destination is one that they may share.

        Raises:
            Held: when another one has it.
        """
        with ExitStack() as held:
            if self._job.destination.type == "postgres":
                with connecting(self._job):
                    job = self._job
                    whose, wait = self._whose, job.wait or 0.0
                    taken = lease(self.pipeline.sql_client, whose, job.run, wait, again=job.attempt > 1)
                    self._lease = held.enter_context(taken)
            yield

    @property
    def _whose(self) -> str:
        """What is held against other machines."""
        return self._job.source.name

    @property
    def loaded_before(self) -> Mapping[str, Any] | None:
        """What an attempt of this run, of which nobody has heard, noted with what it loaded; None where none has."""
        return self._lease.loaded if self._lease is not None and self._job.attempt > 1 else None

    @contextmanager
    def discreet(self) -> Iterator[None]:
        """dlt keeps a run's trace in its folder, with the text of errors as they were raised, secrets in them.

        The history has what people want to know of it, masked. What stays is for the project's owner alone.
        """
        # At once, for a process that is killed comes to no end.
        self._folder.chmod(0o700)
        try:
            yield
        finally:
            (self._folder / self._job.source.pipeline / TRACE_FILE_NAME).unlink(missing_ok=True)
            working_folder.make_private(self._folder)

    # --- before a run -----------------------------------------------------------------------------

    def recover(self, permit: Callable[[Sequence[Package]], object]) -> set[str]:
        """Brings state and schemas up to date with the destination, and leaves nothing of an earlier run to load.

        Args:
            permit: raises `WouldEmpty` for packages that may not be loaded.

        Returns:
            the schemas of which something was loaded that an earlier run had left.
        """
        with connecting(self._job):
            meanwhile = dataset.known_meanwhile(self.pipeline, self._job)
            if meanwhile is not None and self._unchanged(meanwhile):
                return set()
            with dataset.writing(self.pipeline, self._job) as database:
                if self._unchanged(database):
                    return set()
                dataset.patiently(self._job, self._compare if self._atomic else self.pipeline.sync_destination)
                if self._basis is not None:
                    database.learnt, database.datasets = self._basis, self._datasets
        if not self.pipeline.has_pending_data:
            return set()
        if self._atomic and self._job.fail_on_schema_change:
            # Its schema has been changed already by what was extracted; what it was is known in the destination.
            return self._begin_from_destination("tables might change")
        self._progress.say("an earlier run left data that was extracted but not loaded; it is loaded first")
        try:
            packages = self._load_pending(permit)
        except Exception as error:
            # Whatever it is: data that cannot be loaded would stop every sync to come. What is worth nothing is
            # extracted again, as the destination knows up to where all is loaded; the rest is raised.
            if not self._atomic or self.worth_keeping(error):
                raise
            return self._begin_from_destination(str(root_cause(error)))
        # What was extracted by a run that was killed may be newer than the state that this run wrote last.
        self.pipeline = self._open()
        with connecting(self._job), dataset.writing(self.pipeline, self._job):
            self.pipeline.sync_destination()
        self._loading = False
        return {package.schema.name for package in packages}

    def _load_pending(self, permit: Callable[[Sequence[Package]], object]) -> Sequence[Package]:
        dlt_packages.forget_extracted(self.pipeline)
        with columnar.switched_on(self._atomic, Path(self.pipeline.working_dir)):
            self.normalize()
        packages = dlt_packages.waiting(self.pipeline)
        permit(packages)
        self.load(packages)
        return packages

    def _unchanged(self, database: KnownFile) -> bool:
        """Whether, as far as a file tells, there is no load that the folder does not know, and none to add."""
        known = working_folder.noted(self._folder)
        if database.loads is None or self.pipeline.has_pending_data:
            return False
        if known is None:
            if not database.absent or self.pipeline.schema_names:
                return False
            self._begin_with_nothing()
        elif not working_folder.fits(known, database.loads, self.pipeline.schema_names):
            return False
        self._basis = self._followed(database.loads)
        return True

    def _begin_with_nothing(self) -> None:
        """Neither the folder nor the destination knows anything of the source."""
        self._blank = True
        working_folder.note(self._folder, {})

    def _compare(self) -> None:
        """Takes the destination's word where the folder does not know its newest loads; opens DuckDB's file once."""
        pending = {*self.pipeline.list_extracted_load_packages(), *self.pipeline.list_normalized_load_packages()}
        with dataset.sql_client(self.pipeline, self._job) as sql:
            dataset.settle(sql)
            self._basis = self._loads(sql)
            # Nobody has come so far as to its tables: those stand there before any load does.
            self._blank = not self._basis and not dataset.has_table(sql, VERSION_TABLE_NAME)
            done = dataset.loaded(sql, pending)
            for load_id in done:
                dlt_packages.remove(self.pipeline, load_id)
            known = working_folder.noted(self._folder)
            if known is not None:
                if working_folder.fits(known, self._basis, self.pipeline.schema_names):
                    return
                self._begin_anew("the destination has gone on from another state", pending=bool(pending - done))
            if self._blank and not self.pipeline.schema_names:
                # dlt would open it once more, and find as little.
                self._begin_with_nothing()
            else:
                self._synchronise()

    def _begin_from_destination(self, why: str) -> set[str]:
        self._begin_anew(why, pending=True)
        with connecting(self._job), dataset.writing(self.pipeline, self._job):
            self._synchronise()
        self._loading = False
        return set()

    def _begin_anew(self, why: str, *, pending: bool) -> None:
        """Without what an earlier run has left; what it had extracted is extracted again."""
        aside = working_folder.renewed(self._folder, pending=pending)
        if aside:
            self._progress.say(f"what an earlier run had extracted is not loaded, and kept as {aside}: {why}")
        self.pipeline = self._open()

    def _synchronise(self) -> None:
        self.pipeline.sync_destination()
        working_folder.note(self._folder, self._basis or {})

    def _open(self) -> dlt.Pipeline:
        def make() -> dlt.Pipeline:
            return made(self._job, self._folder, self._progress)

        return working_folder.opened(self._folder, make, self._job, self._progress.say)

    def adopt(self, schema: str) -> None:
        """Knows the tables of a schema without a state: a first run came no further than them, or parts were loaded."""
        if self._atomic and not self._blank and schema not in self.pipeline.schema_names:
            with connecting(self._job), dataset.writing(self.pipeline, self._job):
                dlt_state.adopt(self.pipeline, schema)

    # --- its end ----------------------------------------------------------------------------------

    def normalize(self) -> Mapping[str, int]:
        """Normalises what was extracted.

        Returns:
            the rows of each table that the packages hold themselves.

        Raises:
            Mistaken: when a file that was referred to is not any more, as dlt has written anew what stood for it.
        """
        if not dlt_packages.extracted_rows(self.pipeline):
            return {}
        paths = sorted(dlt_packages.extracted(self.pipeline).rglob("*.parquet"))
        extracted = [found for path in paths if (found := external.read(path))]
        counts = self.pipeline.normalize().row_counts
        referred = [file for package in dlt_packages.waiting(self.pipeline) for file in package.referred]
        for file in extracted:
            if file not in referred:
                raise Mistaken(f"{file.file} has other columns than the files before it")
        return counts

    def load(
        self, packages: Sequence[Package], note: Mapping[str, Any] | None = None, *, counted: Collection[str] = ()
    ) -> Loaded:
        """Loads packages, and forgets them.

        Args:
            packages: all that wait.
            note: what is to be known of it by a later attempt, where these packages are all that the job has to load.
            counted: the tables of which it is to be known how many rows they hold then.

        Raises:
            Mistaken: when a file that they refer to is not what they say.
            Held: when another process has the source or the database, or has loaded meanwhile; nothing is loaded.
        """
        if not packages and not counted:
            working_folder.let_go(self._folder)
            return Loaded()
        look = partial(self._look, packages, counted)
        with dataset.writing(self.pipeline, self._job) as self._database:
            done = self._load_waiting(packages, note, look) if packages else Loaded()
            if not (packages and self._atomic and self._database.stayed):
                # Opened anew: what is asked for is what is in the file that has this name now.
                with dataset.sql_client(self.pipeline, self._job) as sql:
                    look(sql, done)
            if packages and self._atomic and not self._job.trial:
                working_folder.note(self._folder, self._basis or {})
                self._database.learnt, self._database.datasets = self._basis, self._datasets
            self._confirm(note)
            for package in packages:
                dlt_packages.remove(self.pipeline, package.load_id)
            working_folder.let_go(self._folder)
        return done

    def _look(self, packages: Sequence[Package], counted: Collection[str], sql: Any, done: Loaded) -> None:
        """What the destination holds now."""
        if packages and self._atomic and not self._job.trial:
            self._basis = self._loads(sql)
            dataset.require_loaded(sql, {package.load_id for package in packages}, self._job)
        if sql is not None:
            done.totals = dataset.counted(sql, filter(partial(dataset.soon_counted, sql), counted))

    def _load_waiting(self, packages: Sequence[Package], note: Mapping[str, Any] | None, look: Look) -> Loaded:
        self._loading = True
        if self._atomic:
            done = dataset.patiently(self._job, self._load_at_once, packages, note, look)
        else:
            working_folder.let_go(self._folder)
            info = self.pipeline.load()
            info.raise_on_failed_jobs()
            done = Loaded.by_dlt(info)
        self.pipeline.first_run = False
        return done

    def _load_at_once(self, packages: Sequence[Package], note: Mapping[str, Any] | None, look: Look) -> Loaded:
        def load(first: bool) -> Loaded:
            with self._turn():
                return loading.load(self.pipeline, packages, partial(self._guard, note=note), look, little_memory=first)

        return dataset.insistently(load)

    def _turn(self) -> AbstractContextManager[None]:
        """While the block lasts no other part of the source is loaded: where it is loaded whole, there is none."""
        return nullcontext()

    def _confirm(self, note: Mapping[str, Any] | None) -> None:
        """What is extracted in the folder is loaded; here the note of loads says so."""

    def _loads(self, sql: Any) -> working_folder.Loads:
        """The loads that the destination has; those to come are newer, also where this machine's clock is behind."""
        self._datasets = dataset.names(sql)
        return self._followed(dataset.loads(sql))

    def _followed(self, loads: working_folder.Loads) -> working_folder.Loads:
        dlt_packages.load_ids_after(newest for _, newest in loads.values())
        return loads

    def _guard(self, client: Client, package: Package, moment: Moment, note: Mapping[str, Any] | None) -> None:
        """Makes sure that the source is this run's to write, and that nobody has loaded it since this run began."""
        self._database.opened()
        if moment == "end":
            return
        sql = client.sql_client
        if self._lease is not None:
            self._lease.require(sql, lock=moment == "within")
            if moment == "within" and note is not None:
                self._lease.note(sql, note)
        if moment == "within":
            dataset.alone(sql, self.pipeline.pipeline_name)
        self._require_newest(client, package)

    def _require_newest(self, client: Client, package: Package) -> None:
        if self._basis is None:
            return
        name = package.schema.name
        if dataset.loads(client.sql_client).get(name) != self._basis.get(name):
            raise Overtaken(self._job.source.name)

    def worth_keeping(self, error: BaseException) -> bool:
        """Whether what was extracted can be loaded later although it could not be now.

        It can where a network or a lock was in the way. It cannot where the destination refuses the data, or has gone
        on without it; the rows are then extracted again.
        """
        if dataset.locked(error):
            return True
        if not self._atomic:
            # Files that dlt has loaded already would be loaded twice.
            return self._loading
        return self._loading and not final(error)

    def give_up(self) -> None:
        """Forgets what was extracted: state and schemas are what they were before."""
        working_folder.give_up(self._folder)
        self._loading = False
        self.pipeline = self._open()
