"""What the user writes in `sources.yml`: the models, and their errors with the place of each.

The models are frozen and hold plain values, so a source travels to another process as it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dango.config import extending
from dango.config.contract import SchemaContract
from dango.config.cron import Schedule
from dango.config.kinds import Host, MaxErrors, Name, Requirement
from dango.config.processors import Processor, Processors
from dango.config.split import Split
from dango.config.text.values import kind
from dango.errors import nearest

VERSION = 1
EMBEDDED = "duckdb"
"""The destination that needs no setting: a DuckDB file in the project."""

# Keys of a source, in the model from the first day; refused by name until the work behind them is done.
NOT_YET = ("split",)


def _said(description: str, *examples: Any) -> Any:
    """A key that may be left out, with what the editor and the reference say of it."""
    return Field(default=None, description=description, examples=list(examples) or None)


class Strict(BaseModel):
    """A block in which an unknown key is an error."""

    # Built when the first is made: most commands read no registry entry, and a worker checks nothing again.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Common(Strict):
    """Keys of a source and of a resource alike."""

    on_error: Literal["fail", "skip"] | None = _said(
        "`skip` leaves out a resource that fails and loads the others; `fail` loads nothing then", "skip"
    )
    processors: Processors = None


_MAX_ERRORS = "how many records may fail before nothing is loaded: a number, or a share such as `5%`"


class Cursor(Strict):
    """What makes a resource incremental: the field that grows, where to begin, how far to look back."""

    field: StrictStr = Field(
        description="the column (or JSON path) that grows with every change", examples=["updated_at"]
    )
    initial: Any = _said("where the first sync begins", "2024-01-01")
    lag: float | None = _said("how far every sync looks back; seconds for times", 3600)


class Resource(Common):
    """What a resource does otherwise than its author wrote; applied with dlt's hints."""

    schema_contract: SchemaContract = None
    max_errors: MaxErrors | None = _said(_MAX_ERRORS, 10, "5%")

    table: StrictStr | None = _said("the table's name; otherwise that of the resource", "tickets")
    write_disposition: Literal["append", "replace", "merge", "skip"] | None = _said(
        "whether rows are added, take the place of all, or of those with the same key", "merge"
    )
    primary_key: StrictStr | tuple[StrictStr, ...] | None = _said(
        "the column that tells rows apart, or a list of them", "id", ["order_id", "line"]
    )
    merge_key: StrictStr | tuple[StrictStr, ...] | None = _said(
        "a `merge` replaces all rows that have the same value in this column", "day"
    )
    cursor: Cursor | None = _said("what makes the resource incremental", {"field": "updated_at"})
    columns: dict[str, dict[str, Any]] | None = _said(
        "dlt's column hints, by the name of the column", {"price": {"data_type": "decimal"}}
    )
    split: Split | None = _said(
        "load it in ranges of a column, side by side, each confirmed by itself", {"column": "id", "ranges": 16}
    )


class DltNative(Strict):
    """Any dlt source there is: which function, and with what."""

    source_module: StrictStr = Field(
        description="resolved from custom_sources/, then dlt.sources, then plugins, then any import", examples=["jira"]
    )
    source_function: StrictStr = Field(
        description="a source, a resource, or a function that returns or yields one, or rows", examples=["jira"]
    )
    function_kwargs: dict[StrictStr, Any] = Field(
        default_factory=dict, description="its arguments; `env:NAME` at any depth", examples=[{"token": "env:TOKEN"}]
    )
    pipeline_name: Name | None = _said("of the dlt pipeline; otherwise the source's name", "jira_v2")
    dataset_name: Name | None = _said("where its tables are; otherwise `raw_<name>`", "jira")


def _resources(value: Any) -> Any:
    """Both ways of writing `resources:` as one: a mapping from name to hints."""
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise PydanticCustomError(
                    "resources", "a list of resources holds names, this is {kind}", {"kind": kind(item)}
                )
        return {name: {} for name in value}
    if isinstance(value, Mapping):
        return {name: {} if hints is None else hints for name, hints in value.items()}
    raise PydanticCustomError(
        "resources", "should be a list of names or a mapping from name to hints, not {kind}",
        {"kind": kind(value)},
    )  # fmt: skip


Resources = Annotated[dict[str, Resource], BeforeValidator(_resources)]


class Environment(Strict):
    """An environment of the source's own, built when it is first needed."""

    allow_urls: StrictBool = Field(default=False, description="whether requirements may be addresses")
    requirements: tuple[Requirement, ...] = Field(
        description="packages, as pip takes them; `./folder` is one of the project", examples=[["tap-csv==1.2.0"]]
    )
    build_constraints: tuple[Requirement, ...] = Field(
        default=(),
        description="versions of what packages are built with, for those that have no wheel",
        examples=[["setuptools<80"]],
    )
    python: StrictStr | None = _said("its Python: a version, or a path; otherwise that of dango", "3.12")


class Defaults(Common):
    """What holds for every source that does not say otherwise."""

    enabled: StrictBool = Field(default=True, description="whether `dango sync` without names loads it")
    destination: StrictStr | None = _said("one of `destinations`; otherwise the project's", "lake")
    schema_contract: SchemaContract = None
    max_errors: MaxErrors | None = _said(_MAX_ERRORS, 10, "5%")
    resources: Resources | None = _said(
        "what to load: a list of names, or a mapping from name to how; otherwise all", ["issues", "users"]
    )
    environment: Environment | None = _said(
        "packages of the source's own, which no other source sees", {"requirements": ["stripe<16"]}
    )
    executor: StrictStr | None = _said(
        "where it is synced: `local`, `auto` (a node of a Ray cluster), a cluster's address, or what a package brings",
        "ray://head.example.com:10001",
    )
    split: str | dict[str, Any] | None = _said("not yet: each resource in a job of its own")
    schedule: Schedule | None = _said("when what `dango export` writes syncs it; UTC", "0 9 * * MON-FRI", "@daily")

    @field_validator(*NOT_YET, mode="before")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        raise PydanticCustomError("not_yet", "is not yet supported by this version of dango")


class Source(Defaults):
    """One source: what it is, where it goes, and the block that bears the name of its type."""

    name: Name = Field(description="also of its pipeline, its dataset and its secrets", examples=["jira_issues"])
    type: StrictStr = Field(
        description="`dlt_native`, the id of a registry entry, or a source that a package brings", examples=["github"]
    )
    description: StrictStr = Field(default="", description="for people", examples=["Issues of our Jira"])
    extends: Name | None = _said("another source: what this one does not say itself is as there", "github")
    allowed_hosts: tuple[Host, ...] = Field(
        default=(),
        description="hosts besides the API's own to which its pages and redirects may lead; they get its token, too",
        examples=[["files.example.com"]],
    )
    dlt_native: DltNative | None = _said("the block of `type: dlt_native`")
    block: dict[str, Any] = Field(default_factory=dict, description="the block named like the type")

    @model_validator(mode="before")
    @classmethod
    def _block(cls, data: Any) -> Any:
        # The key of a registry type's block is the type itself; the model gives it a fixed place.
        if isinstance(data, dict) and isinstance(type_ := data.get("type"), str):
            if type_ in data and type_ not in cls.model_fields:
                return {**{k: v for k, v in data.items() if k != type_}, "block": data[type_] or {}}
            if type_ == "dlt_native" and data.get("dlt_native") is None:
                misspelt = nearest("dlt_native", [key for key in map(str, data) if key not in cls.model_fields])
                raise PydanticCustomError(
                    "missing_block", "`type: dlt_native` needs a block `dlt_native:` with `source_module`"
                    " and `source_function`{what_is_there}",
                    {"what_is_there": f"; `{misspelt}:` is another" if misspelt else ""},
                )  # fmt: skip
        return data

    @property
    def dataset(self) -> str:
        """The dataset (schema) in the destination."""
        return (self.dlt_native and self.dlt_native.dataset_name) or f"raw_{self.name}"

    @property
    def pipeline(self) -> str:
        """The name of the dlt pipeline."""
        return (self.dlt_native and self.dlt_native.pipeline_name) or self.name

    @property
    def steps(self) -> Iterator[tuple[tuple[str | int, ...], Processor]]:
        """Every processor of the source and of its resources, with its keys in the document."""
        for position, processor in enumerate(self.processors or ()):
            yield ("processors", position), processor
        for name, hints in (self.resources or {}).items():
            for position, processor in enumerate(hints.processors or ()):
                yield ("resources", name, "processors", position), processor

    def processors_of(self, resource: str) -> Iterator[tuple[tuple[str | int, ...], Processor]]:
        """What a resource's records go through, with the keys of each in the document; its own list goes before the
        source's."""
        own = (self.resources or {}).get(resource)
        above = ("processors",) if own is None or own.processors is None else ("resources", resource, "processors")
        return (step for step in self.steps if step[0][:-1] == above)

    @property
    def references(self) -> Iterator[tuple[tuple[str | int, ...], Any]]:
        """Every block in which `env:` is expanded: its keys in the document, and its values."""
        yield self.expandable()
        for loc, processor in self.steps:
            yield (*loc, processor.name), processor.settings

    def expandable(self) -> tuple[tuple[str, ...], Mapping[str, Any]]:
        """The block in which `env:` is expanded: its keys in the document, and its values."""
        if self.dlt_native:
            return ("dlt_native", "function_kwargs"), self.dlt_native.function_kwargs
        return (self.type,), self.block


class Destination(BaseModel):
    """A place to load into. Keys besides `type` are parameters of the dlt destination itself."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    name: str = EMBEDDED
    type: StrictStr = Field(
        description="a dlt destination, or `module:function` of a @dlt.destination", examples=["postgres"]
    )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was written besides the type."""
        return self.model_extra or {}

    @property
    def embedded(self) -> bool:
        """Whether it is the project's own DuckDB file, which needs no setting."""
        return self.name == self.type == EMBEDDED and not self.parameters


def known_version(value: Any) -> Any:
    """The version of a file, if this dango knows it."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError("version", "should be the number {known}", {"known": VERSION})
    if value > VERSION:
        raise PydanticCustomError(
            "version", "version {value} is newer than this dango knows ({known}): upgrade dango",
            {"value": value, "known": VERSION},
        )  # fmt: skip
    if value < 1:
        raise PydanticCustomError("version", "there is no version {value}", {"value": value})
    return value


class Config(Strict):
    """The whole of `sources.yml`."""

    version: Annotated[StrictInt, BeforeValidator(known_version)] = Field(
        default=VERSION, description="of this file's format"
    )
    destination: StrictStr = Field(
        default=EMBEDDED, description="where sources go that do not say: `duckdb`, or one of `destinations`"
    )
    destinations: dict[Name, Destination] = Field(
        default_factory=dict, description="places to load into, by name", examples=[{"lake": {"type": "postgres"}}]
    )
    defaults: Defaults = Field(
        default=Defaults.model_construct(), description="what holds for every source that does not say otherwise"
    )
    sources: tuple[Source, ...] = Field(default=(), description="what is synced")

    @field_validator("destinations", "defaults", "sources", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        # `sources:` with nothing behind it is what a person leaves after removing the last one.
        return ([] if info.field_name == "sources" else {}) if value is None else value

    @model_validator(mode="before")
    @classmethod
    def _extended(cls, data: Any) -> Any:
        return extending.completed(data)

    @model_validator(mode="after")
    def _effective(self) -> Config:
        said = {source.name: _said_by(source) for source in self.sources}
        defaults = _said_by(self.defaults)
        for source in self.sources:
            told = {*source.model_fields_set}
            for given in (*(extending.common(said[name]) for name in self.lineage(source.name)), defaults):
                source.__dict__.update(_inherited(source, given, told))
                told |= given.keys()
        for name, destination in self.destinations.items():
            destination.__dict__["name"] = name
        return self

    def lineage(self, name: str) -> tuple[str, ...]:
        """The sources that one extends, the nearest first."""
        return extending.lineage(name, {source.name: source.extends for source in self.sources})

    def destination_of(self, source: Source, override: str | None = None) -> Destination:
        """Where the source goes. Raises `KeyError` with the name when there is no such destination."""
        name = override or source.destination or self.destination
        if name in self.destinations:
            return self.destinations[name]
        if name == EMBEDDED:
            return Destination(name=EMBEDDED, type=EMBEDDED)
        raise KeyError(name)


def _said_by(block: Defaults) -> dict[str, Any]:
    return {key: getattr(block, key) for key in block.model_fields_set}


def _inherited(source: Source, given: Mapping[str, Any], told: Container[str]) -> dict[str, Any]:
    """What a source takes over of what another block says, where `told` is what it has already."""
    inherited = {key: value for key, value in given.items() if key not in told}
    contract, resources = source.schema_contract, source.resources
    if contract is not None and "schema_contract" in told:
        inherited["schema_contract"] = contract.over(given.get("schema_contract"))
    if resources is not None and "resources" in told and given.get("resources"):
        inherited["resources"] = {name: merged(given["resources"].get(name), own) for name, own in resources.items()}
    return inherited


def merged(default: Resource | None, own: Resource) -> Resource:
    """The hints of one's own, with those of the default that they do not say."""
    if default is None:
        return own
    inherited = {key: getattr(default, key) for key in default.model_fields_set - own.model_fields_set}
    if own.schema_contract is not None:
        inherited["schema_contract"] = own.schema_contract.over(default.schema_contract)
    return own.model_copy(update=inherited)
