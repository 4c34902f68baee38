"""What the user writes in `sources.yml`: the models, and their errors with the place of each.

The models are frozen and hold plain values, so a source travels to another process as it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Annotated, Any

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
from dango.config.processors import Processor
from dango.config.resource import MAX_ERRORS, Common, Resources, Strict, said
from dango.config.split import SplitSource
from dango.errors import nearest

VERSION = 1
EMBEDDED = "duckdb"
"""The destination that needs no setting: a DuckDB file in the project."""


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
    pipeline_name: Name | None = said("of the dlt pipeline; otherwise the source's name", "jira_v2")
    dataset_name: Name | None = said("where its tables are; otherwise `raw_<name>`", "jira")


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
    python: StrictStr | None = said("its Python: a version, or a path; otherwise that of dango", "3.12")


class Defaults(Common):
    """What holds for every source that does not say otherwise."""

    enabled: StrictBool = Field(default=True, description="whether `dango sync` without names loads it")
    destination: StrictStr | None = said("one of `destinations`; otherwise the project's", "lake")
    schema_contract: SchemaContract = None
    max_errors: MaxErrors | None = said(MAX_ERRORS, 10, "5%")
    resources: Resources | None = said(
        "what to load: a list of names, or a mapping from name to how; otherwise all", ["issues", "users"]
    )
    environment: Environment | None = said(
        "packages of the source's own, which no other source sees", {"requirements": ["stripe<16"]}
    )
    executor: StrictStr | None = said(
        "where it is synced: `local`, `auto` (a node of a Ray cluster), a cluster's address, or what a package brings",
        "ray://head.example.com:10001",
    )
    split: SplitSource | None = said("load each resource in a job of its own, side by side", "resources")
    schedule: Schedule | None = said("when what `dango export` writes syncs it; UTC", "0 9 * * MON-FRI", "@daily")


class Source(Defaults):
    """One source: what it is, where it goes, and the block that bears the name of its type."""

    name: Name = Field(description="also of its pipeline, its dataset and its secrets", examples=["jira_issues"])
    type: StrictStr = Field(
        description="`dlt_native`, the id of a registry entry, or a source that a package brings", examples=["github"]
    )
    description: StrictStr = Field(default="", description="for people", examples=["Issues of our Jira"])
    extends: Name | None = said("another source: what this one does not say itself is as there", "github")
    allowed_hosts: tuple[Host, ...] = Field(
        default=(),
        description="hosts besides the API's own to which its pages and redirects may lead; they get its token, too",
        examples=[["files.example.com"]],
    )
    dlt_native: DltNative | None = said("the block of `type: dlt_native`")
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
        own = {source.name: _said_by(source) for source in self.sources}
        defaults = _said_by(self.defaults)
        for source in self.sources:
            told = {*source.model_fields_set}
            for given in (*(extending.common(own[name]) for name in self.lineage(source.name)), defaults):
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
        inherited["resources"] = {name: own.over(given["resources"].get(name)) for name, own in resources.items()}
    return inherited
