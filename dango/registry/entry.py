"""What a registry entry says: what a source is, what the wizard asks, how it is built, how it is tested.

An entry is one YAML file, named like its `id`. The models are frozen and hold plain values, so an entry travels to
another process with its job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dango.config.kinds import Host
from dango.config.models import Environment, known_version
from dango.config.resource import Resource, Strict
from dango.registry.field import EMPTY, FieldSpec

VERSION = 1
ID_PATTERN = r"[a-z][a-z0-9_]{1,40}"

Category = Literal[
    "payments", "crm", "marketing", "support", "engineering", "productivity", "analytics", "commerce", "accounting",
    "communication", "people", "database", "files", "streaming", "generic",
]  # fmt: skip
Maturity = Literal["spec_checked", "mock_run", "live_run", "vendored", "untested"]


class RestApi(Strict):
    """A declarative source: dlt's `rest_api` configuration, verbatim, with placeholders."""

    kind: Literal["rest_api"]
    config: dict[str, Any]

    @field_validator("config")
    @classmethod
    def _shape(cls, config: dict[str, Any]) -> dict[str, Any]:
        client, resources = config.get("client"), config.get("resources")
        if not isinstance(client, dict) or not client.get("base_url"):
            raise PydanticCustomError("entry", "`config` needs `client:` with a `base_url`")
        if not isinstance(resources, list) or not resources:
            raise PydanticCustomError("entry", "`config` needs `resources:`, a list of at least one")
        for number, resource in enumerate(resources):
            if not isinstance(resource, dict) or not resource.get("name"):
                raise PydanticCustomError("entry", "resource {number} needs a `name`", {"number": number + 1})
            endpoint = resource.get("endpoint")
            if not isinstance(endpoint, dict) or not endpoint.get("path"):
                raise PydanticCustomError(
                    "entry", "the resource `{name}` needs an `endpoint` with a `path`", {"name": resource["name"]}
                )
        return config

    @property
    def resources(self) -> tuple[str, ...]:
        """The names of the resources, in order."""
        return tuple(str(resource["name"]) for resource in self.config["resources"])


Reference = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


class Function(Strict):
    """A call: any dlt source, or any function that returns or yields one, with its arguments."""

    kind: Literal["function"]
    function: Reference = Field(description="`module:function`, found as `source_module` and `source_function` are")
    args: dict[str, Any] = Field(default_factory=dict)
    inspect: Reference | None = Field(
        default=None,
        description="called with the same arguments; gives a `dango.probe.Inspection` for live choices and tests",
    )
    about: Reference | None = Field(
        default=None,
        description="called with the same arguments; gives a `dango.probe.About`: options and streams",
    )
    check: Reference | None = Field(
        default=None,
        description="called with the same arguments; gives a `dango.probe.Checked`, or None where nobody can tell",
    )


class Verified(Strict):
    """One of dlt's verified sources: its code comes into `custom_sources/` by `dango source fetch`."""

    kind: Literal["verified"]
    source: StrictStr
    function: StrictStr
    commit: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{40}$")]
    args: dict[str, Any] = Field(default_factory=dict)


class Selection(Strict):
    """What is loaded where the user does not say."""

    default: tuple[StrictStr, ...] = ()
    live: StrictBool = Field(default=False, description="the resources are what `inspect` finds: a database's tables")
    hints: Resource | None = Field(default=None, description="how a resource is loaded of which nothing else is said")
    more: StrictStr | None = Field(
        default=None, description="a field by whose keys there are more resources: reports of the user's own"
    )


class Loads(Strict):
    """How a function loads a resource: it says so in its code, and here for who reads."""

    key: tuple[StrictStr, ...] = ()
    cursor: StrictStr = Field(default="", description="the column by which the source asks for what is new")
    replaces: StrictStr = Field(default="", description="the column, such as a day, whose values are replaced whole")
    write_disposition: Literal["append", "replace", "merge"] = "append"


class RateLimit(Strict):
    """What the vendor allows."""

    note: StrictStr = ""
    page_size: StrictInt | None = None
    requests_per_second: StrictFloat | None = Field(default=None, gt=0, description="dango asks no faster than this")


class Check(Strict):
    """How `dango source test` begins."""

    resource: StrictStr | None = None


class Waiver(Strict):
    """A difference between the entry and the vendor's description that is known to be the description's fault."""

    resource: StrictStr
    rule: StrictStr
    name: StrictStr = ""
    why: Annotated[StrictStr, Field(min_length=10)]


class Verify(Strict):
    """How the entry is tested: against which description of the vendor's, with which values."""

    spec: StrictStr | tuple[StrictStr, ...] = Field(default=(), description="files of the vendor's API descriptions")
    base_path: StrictStr = ""
    waive: tuple[Waiver, ...] = ()
    sample: dict[str, Any] = Field(default_factory=dict, description="values of fields for a test")
    service: StrictStr | None = Field(default=None, description="the server that a database's test runs against")
    ends_pages: StrictStr | None = Field(
        default=None, description="how the vendor's links to a next page end, and where it says so"
    )

    @property
    def specs(self) -> tuple[str, ...]:
        """The files of the vendor's API descriptions."""
        return (self.spec,) if isinstance(self.spec, str) else self.spec


class Entry(Strict):
    """A source that dango knows."""

    registry: Annotated[Literal[1], BeforeValidator(known_version)]
    id: Annotated[StrictStr, Field(pattern=f"^{ID_PATTERN}$")]
    title: Annotated[StrictStr, Field(min_length=1)]
    category: Category
    aliases: tuple[StrictStr, ...] = ()
    summary: StrictStr = ""
    maturity: Maturity = "untested"
    links: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    setup: StrictStr = Field(default="", description="how to get the credentials; shown before the wizard asks")
    allowed_hosts: tuple[Host, ...] = Field(
        default=(), description="hosts besides that of `base_url` to which the vendor's pages and redirects lead"
    )
    rate_limit: RateLimit = RateLimit.model_construct()
    requires: tuple[StrictStr, ...] = Field(default=(), description="packages that the source needs, as pip takes them")
    fields: tuple[FieldSpec, ...] = ()
    groups: tuple[tuple[StrictStr, ...], ...] = Field(
        default=(), description="sets of fields, of which at least one must be filled in whole"
    )
    build: Annotated[RestApi | Function | Verified, Field(discriminator="kind")]
    environment: Environment | None = Field(
        default=None,
        description="what the wizard proposes as the source's own environment; without it none is asked for",
    )
    select: Selection = Selection.model_construct()
    describe: dict[StrictStr, StrictStr] = Field(default_factory=dict, description="a line for each resource")
    loads: dict[StrictStr, Loads] = Field(
        default_factory=dict,
        description="how a function loads each resource; `*` stands for all that are not named",
    )
    check: Check = Check.model_construct()
    verify: Verify = Verify.model_construct()

    @model_validator(mode="after")
    def _names(self) -> Entry:
        names = [field.name for field in self.fields]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise PydanticCustomError("entry", "the field `{name}` is there twice", {"name": twice})
        return self

    @property
    def resources(self) -> tuple[str, ...]:
        """The resources that are known without asking anybody."""
        return self.build.resources if isinstance(self.build, RestApi) else tuple(self.describe)

    @property
    def secrets(self) -> tuple[FieldSpec, ...]:
        """The fields whose values are secret."""
        return tuple(field for field in self.fields if field.secret)

    def field(self, name: str) -> FieldSpec | None:
        """The field of that name."""
        return next((field for field in self.fields if field.name == name), None)

    def defaults(self) -> dict[str, Any]:
        """The fields that have a value without anybody's saying so."""
        return {field.name: field.default for field in self.fields if field.default is not None}

    def missing(self, values: Mapping[str, Any]) -> list[FieldSpec]:
        """The fields that are required, apply, and have no value."""
        known: dict[str, Any] = {}
        missing = []
        for field in self.fields:
            if not field.applies(known):
                continue
            value = values.get(field.name)
            known[field.name] = field.default if value in EMPTY else value
            if field.required and known[field.name] in EMPTY:
                missing.append(field)
        return missing


def json_schema() -> dict[str, Any]:
    """The JSON Schema of an entry, for editors and for packages that bring their own."""
    # Their defaults are written by models of their own, which the oldest pydantic does not build by itself.
    for model in (RateLimit, Selection, Check, Verify):
        model.model_rebuild()
    schema = Entry.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "dango registry entry"}


def strings(value: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text at any depth of plain data, with the path of keys to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings(item, (*loc, key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from strings(item, (*loc, position))
    elif isinstance(value, str):
        yield loc, value
