"""Schema contracts in a sync: which one holds for a resource, and what becomes of it when it is broken or keeps
something out.

The nearest word counts, entity by entity: `sources.yml` before the registry entry, that before the source's own code,
and in each the resource before the source.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from dlt import Schema
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources import DltResource, DltSource

from dango import digits
from dango.config.contract import ENTITIES
from dango.dlt_internals import contracts as dlt_contracts
from dango.dlt_internals.contracts import DataValidationError, Passing, Verdict
from dango.errors import RefusedByContract, ResolveError
from dango.job import Job
from dango.load.schema_changes import Change, beside
from dango.project import Project

Modes = Mapping[str, str]
"""A mode for each entity."""

_EVOLVE: Modes = dict.fromkeys(ENTITIES, "evolve")


@dataclass(frozen=True, slots=True)
class KeptOut:
    """What contracts keep out of the tables in one extraction and its normalisation."""

    passing: Mapping[str, Passing] = field(default_factory=dict)
    """Of each resource that may lose rows, how many came."""
    verdicts: list[Verdict] = field(default_factory=list)

    def rows(self, loaded: Mapping[str, int], schema: Schema) -> dict[str, int]:
        """The rows that were discarded, by the tables that they were for; those of nested tables are not counted.

        Args:
            loaded: the rows of each table behind normalisation.
            schema: the source's, behind normalisation.
        """
        found: dict[str, int] = {}
        for resource, passing in self.passing.items():
            tables = [str(table["name"]) for table in schema.data_tables() if table.get("resource") == resource]
            lost = passing.extracted - sum(loaded.get(table, 0) for table in tables)
            discarded = passing.given - passing.valid + max(lost, 0)
            if discarded:
                # Of a resource with many tables, one for which dlt spoke.
                named = [verdict.table for verdict in self.verdicts if verdict.table in tables]
                found[next(iter([*named, *tables, resource]))] = discarded
        return found

    def without(self, resources: Container[str]) -> KeptOut:
        """The same but for resources that failed, of which nothing is loaded for another reason."""
        return replace(self, passing={name: rows for name, rows in self.passing.items() if name not in resources})

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The columns that were left out of each table, and the tables that were left out, with the one above them."""
        found: dict[str, dict[str, None]] = {}
        for verdict in self.verdicts:
            table = verdict.table if verdict.column else verdict.above or verdict.table
            found.setdefault(table, {})[verdict.column or verdict.table] = None
        return {table: tuple(names) for table, names in found.items()}


@contextmanager
def enforced(source: DltSource, job: Job, stored: Schema | None) -> Iterator[KeptOut]:
    """Contracts hold for what is extracted and normalised in the block.

    A table's first load makes its columns. A source's first load makes its tables, and so does that of a resource
    which is asked for by name; after that `tables` holds. A full refresh is no way around a contract.

    Args:
        source: what `resolve.build` gave.
        job: whose contracts they are.
        stored: the schema of what was loaded so far; None if nothing was.

    Raises:
        RefusedByContract: when something comes that is frozen out.
        ResolveError: when a contract cannot hold for the resource that it is written for.
    """
    loaded = {str(table["name"]): table for table in stored.data_tables()} if stored else {}
    of_source = _said(source.schema_contract)
    passing = {}
    for name, resource in source.selected_resources.items():
        modes = {**_EVOLVE, **of_source, **_said(resource.schema_contract), **_usual(job), **_written(job, name)}
        family = _family(name, loaded)
        if not family and (not loaded or name in _named(job)):
            modes["tables"] = "evolve"
        _apply(resource, modes, family, job)
        if job.full_refresh and modes != _EVOLVE:
            for table in family:
                source.schema.update_table(copy.deepcopy(table), normalize_identifiers=False)
        if callable(resource.schema_contract) or any(mode.startswith("discard") for mode in modes.values()):
            passing[name] = dlt_contracts.count(resource)
    # For tables whose name their rows tell; what is said of a resource holds for those that are its own.
    first: Modes = {} if loaded else {"tables": "evolve"}
    contract: Any = {**of_source, **_written(job), **first}
    held: Any = contract if {*contract.values()} - {"evolve"} else None
    source.schema_contract = held
    with dlt_contracts.verdicts() as verdicts:
        try:
            yield KeptOut(passing, verdicts)
        except PipelineStepFailed as error:
            if (refused := broken(error, source, job)) is None:
                raise
            raise refused from error


def broken(error: BaseException, source: DltSource, job: Job) -> RefusedByContract | None:
    """dlt's error in the words of this project, where a contract was broken; None for any other.

    Says what would change, and where it stands that it must not.
    """
    if (violation := dlt_contracts.violation(error)) is None:
        return None
    resource = _resource_of(violation.table_name, source)
    entity = str(violation.schema_entity)
    place, written = _where(job, resource, entity)
    if written is None:
        line = f"`schema_contract: {{{entity}: evolve}}`"
        hint = f"the source's own code says so; to accept it, write {line} in the source's block and sync again"
    else:
        modes = {**dict.fromkeys(ENTITIES, written), entity: "evolve"} if isinstance(written, str) else {}
        line = f"`schema_contract: {{{', '.join(f'{name}: {mode}' for name, mode in modes.items())}}}`"
        hint = f"to accept it, write {line if modes else f'`{entity}: evolve`'} there and sync again"
    change = _change(violation, source.schema)
    return RefusedByContract(
        f"{change}, and the contract says `{entity}: freeze`; nothing was loaded", hint, place=place
    )


def _said(contract: Any) -> dict[str, str]:
    """A contract as dlt has it, written out; nothing where rows decide it."""
    if isinstance(contract, str):
        return dict.fromkeys(ENTITIES, contract)
    return dict(contract) if isinstance(contract, Mapping) else {}


def _written(job: Job, resource: str = "") -> dict[str, str]:
    """What `sources.yml` says of the source, and of one of its resources."""
    own = (job.source.resources or {}).get(resource)
    contracts = (job.source.schema_contract, own.schema_contract if own else None)
    return {entity: mode for contract in contracts if contract for entity, mode in contract.said.items()}


def _usual(job: Job) -> dict[str, str]:
    """What the registry entry says of all its resources."""
    hints = job.entry.select.hints if job.entry else None
    return hints.schema_contract.said if hints and hints.schema_contract else {}


def _named(job: Job) -> set[str]:
    """The resources that somebody has asked for by name: that their tables appear is no change of the source's."""
    return {*(job.source.resources or ()), *job.resources}


def _family(resource: str, tables: Mapping[str, Any]) -> list[Any]:
    """The resource's tables, each before those that are nested in it."""
    family = [table for table in tables.values() if table.get("resource") == resource]
    for above in family:
        family += [table for table in tables.values() if table.get("parent") == above["name"]]
    return family


def _apply(resource: DltResource, modes: Modes, family: list[Any], job: Job) -> None:
    """Gives the resource its contract, unless it has that already.

    dlt keeps a contract with the table. One that is taken back is undone by another, not by none.
    """
    has = resource.schema_contract
    if callable(has) and not _written(job, resource.name):
        return
    kept = any("schema_contract" in table for table in family)
    if modes == {**_EVOLVE, **_said(has)} and (has or not kept):
        return
    contract: Any = dict(modes)
    try:
        resource.apply_hints(schema_contract=contract)
    except NotImplementedError as error:
        raise ResolveError(
            f"`{resource.name}` is described by a Pydantic model, which keeps whole rows out, and no single values",
            "`data_type: discard_row`, or `freeze`, or `evolve`",
            place=_where(job, resource.name, "data_type")[0],
        ) from error


def _change(violation: DataValidationError, schema: Schema) -> str:
    table, column = violation.table_name, violation.column_name
    if (misfit := dlt_contracts.misfit(violation)) is not None:
        field, reason = misfit
        new = violation.schema_entity == "columns"
        return str(Change(table, field)) if new else f"`{table}.{field}` does not fit its model ({reason})"
    came = dlt_contracts.offender(violation)
    if violation.schema_entity != "data_type":
        return str(Change(table, column or "", came))
    columns = violation.table_schema["columns"]
    base = column if column in columns else beside(column, schema)
    was = columns.get(base, {}).get("data_type", "another type")
    if came == was == "decimal":
        came, was = "decimal of other digits", digits.written(digits.of(columns[base]))
    return str(Change(table, column, came, was, "" if base == column else base))


def _resource_of(table: str, source: DltSource) -> str:
    """The resource whose table it is, or whose table it is nested in; empty where rows tell the name."""
    naming = source.schema.naming
    tables = {
        naming.normalize_table_identifier(resource.table_name): name
        for name, resource in source.selected_resources.items()
        if isinstance(resource.table_name, str)
    }
    around = [name for name in tables if table == name or table.startswith(name + naming.PATH_SEPARATOR)]
    return tables[max(around, key=len)] if around else ""


def _where(job: Job, resource: str, entity: str) -> tuple[str, Any]:
    """The place in `sources.yml` of what holds for the entity, and the contract there; empty and None where it says
    nothing of it."""
    project = Project(job.root)
    source = ("sources", project.index(job.source.name))
    document = project.document
    for above in ((*source, "resources", resource), ("defaults", "resources", resource), source, ("defaults",)):
        contract = document.value((*above, "schema_contract"))
        if isinstance(contract, str):
            return document.place((*above, "schema_contract")), contract
        if isinstance(contract, Mapping) and entity in contract:
            return document.place((*above, "schema_contract", entity)), contract
    return "", None
