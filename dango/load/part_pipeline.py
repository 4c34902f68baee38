"""The pipeline of a part of a source: others of the same source are extracted and loaded at the same time.

They share tables, a schema and a state, and each has begun without knowing what the others would make of them. So they
are loaded one after the other, and what is written of schema and state is what all have made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path
from typing import Any

from dlt.common.schema.typing import PIPELINE_STATE_TABLE_NAME, VERSION_TABLE_NAME

from dango.dlt_internals import packages as dlt_packages
from dango.dlt_internals import state as dlt_state
from dango.dlt_internals import tables as dlt_tables
from dango.dlt_internals.packages import Client, Package
from dango.job import Job, Part
from dango.load import dataset, working_folder
from dango.load.connection import connecting
from dango.load.loading import Loaded, Look, Moment
from dango.load.overtaken import Overtaken
from dango.load.progress import Progress
from dango.load.source_pipeline import SourcePipeline


class PartPipeline(SourcePipeline):
    """The pipeline of a job that has a part."""

    def __init__(self, part: Part, job: Job, folder: Path, progress: Progress) -> None:
        super().__init__(job, folder, progress)
        self._part = part
        self._begun: dlt_state.State = {}
        self._loads_here: tuple[str, ...] = ()
        self._with_state = ""

    def begin(self) -> Mapping[str, Any] | None:
        """Brings schemas and state up to date with the destination, without what a killed attempt has left.

        Returns:
            what that attempt has loaded; None where nothing is loaded yet.
        """
        waiting = dlt_packages.waiting(self.pipeline)
        ids = {package.load_id for package in waiting}
        with connecting(self._job), dataset.writing(self.pipeline, self._job):
            with dataset.sql_client(self.pipeline, self._job) as sql:
                if sql is not None:
                    dataset.settle(sql)
                    self._loads(sql)
                    if ids and dataset.loaded(sql, ids) == ids:
                        tables = {table for package in waiting for table in package.tables if table[:4] != "_dlt"}
                        return {"status": "ok", "rows": {t: sum(p.rows(t) for p in waiting) for t in tables}}
            working_folder.forget(self._folder)
            self.pipeline = self._open()
            dataset.patiently(self._job, self.pipeline.sync_destination)
        self._begun = deepcopy(self.pipeline.state)
        # A range has no state: the job that comes after all of them writes it.
        self.pipeline.config.restore_from_destination = not self._part.number
        return None

    def give_up(self) -> None:
        """Forgets what was extracted, and loads no state with what may still be loaded: records that failed."""
        super().give_up()
        self.pipeline.config.restore_from_destination = False

    @property
    def _whose(self) -> str:
        return f"{self._job.source.name}/{self._part.name}"

    def _turn(self) -> AbstractContextManager[None]:
        return dataset.turn(self.pipeline, self._job)

    def _confirm(self, note: Mapping[str, Any] | None) -> None:
        if note is not None:
            working_folder.tell(self._folder, note)

    def _load_waiting(self, packages: Sequence[Package], note: Mapping[str, Any] | None, look: Look) -> Loaded:
        self._loads_here = tuple(package.load_id for package in packages)
        stated = [package.load_id for package in packages if PIPELINE_STATE_TABLE_NAME in package.tables]
        self._with_state = stated[-1] if stated else ""
        return super()._load_waiting(packages, note, look)

    def _guard(self, client: Client, package: Package, moment: Moment, note: Mapping[str, Any] | None) -> None:
        if moment == "before" and dataset.has_table(client.sql_client, VERSION_TABLE_NAME):
            dlt_tables.take_over(package.schema, dlt_state.stored_schema(client, package.schema.name))
        super()._guard(client, package, moment, note)
        if moment == "end" and package.load_id == self._with_state:
            # Once: each state that is extracted is what the one before it has become.
            self._share_state(client, package)

    def _require_newest(self, client: Client, package: Package) -> None:
        """Nobody but this part may have gone on with its resources."""
        newest = self._newest(client)
        names = self._job.resources
        begun = dlt_state.remembered(self._begun, names)
        if newest is not None and dlt_state.remembered(newest[1], names) != begun:
            raise Overtaken(self._job.source.name)

    def _share_state(self, client: Client, package: Package) -> None:
        """What other parts remember is not forgotten: the newest state, as dlt sees it, is made that of all."""
        own, newest = self.pipeline.state, self._newest(client)
        if newest is None:
            return
        load_id, other = newest
        state, conflict = dlt_state.joined(self._begun, own, other)
        if conflict:
            raise Overtaken(self._job.source.name)
        version = max(int(own["_state_version"]), int(other["_state_version"])) + 1
        name = self.pipeline.pipeline_name
        # Which of two loads began later decides, and not which came later.
        later = max(load_id, package.load_id, key=float)
        dataset.rewrite_state(client.sql_client, name, later, dlt_state.row(state, version))

    def _newest(self, client: Client) -> tuple[str, dlt_state.State] | None:
        """The newest state that others have written, and their load."""
        sql, name = client.sql_client, self.pipeline.pipeline_name
        found = dataset.newest_state(sql, name, without=self._loads_here)
        return (found[0], dlt_state.read(found[1])) if found else None
