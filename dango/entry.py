"""What a registry entry says: what a source is, what the wizard asks, how it is built, how it is tested.

An entry is one YAML file, named like its `id`. The models are frozen and hold plain values, so an entry travels to
another process with its job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
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

from dango.config import Resource, Strict, known_version
from dango.conversions import instant

VERSION = 1
ID_PATTERN = r"[a-z][a-z0-9_]{1,40}"
FIELD_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"

Kind = Literal[
    "string", "secret", "int", "float", "bool", "enum", "list", "date", "datetime", "path", "url", "json", "secret_file"
]
Category = Literal[
    "payments", "crm", "marketing", "support", "engineering", "productivity", "analytics", "commerce", "accounting",
    "communication", "people", "database", "files", "streaming", "generic",
]  # fmt: skip
Maturity = Literal["spec_checked", "mock_run", "live_run", "vendored", "untested"]
SECRET_KINDS = ("secret", "secret_file")
EMPTY: tuple[Any, ...] = (None, "", [])
"""What counts as no value."""


def _pattern(value: Any) -> Any:
    try:
        re.compile(value)
    except (re.error, TypeError) as error:
        raise PydanticCustomError("entry", "`pattern` is no regular expression: {why}", {"why": str(error)}) from error
    return value


class FieldSpec(Strict):
    """One thing that the wizard asks, and that a source's block holds."""

    name: Annotated[StrictStr, Field(pattern=f"^{FIELD_PATTERN}$")]
    kind: Kind = "string"
    title: StrictStr = ""
    help: StrictStr = ""
    required: StrictBool = False
    default: Any = None
    example: Any = None
    options: tuple[Any, ...] = Field(default=(), description="the values of an enum, or what a list is chosen from")
    pattern: Annotated[StrictStr, BeforeValidator(_pattern)] | None = Field(
        default=None, description="of the whole text"
    )
    min: StrictFloat | None = None
    max: StrictFloat | None = None
    when: dict[str, Any] = Field(
        default_factory=dict, description="asked only where other fields have these values (one, or one of a list)"
    )
    advanced: StrictBool = Field(default=False, description="folded away in the wizard")
    discover: StrictStr | None = Field(
        default=None, description="live choices: a key of what the build's `inspect` finds"
    )

    @model_validator(mode="after")
    def _enum_has_options(self) -> FieldSpec:
        if self.kind == "enum" and not self.options:
            raise PydanticCustomError("entry", "`{name}` is an enum and needs `options`", {"name": self.name})
        return self

    @property
    def secret(self) -> bool:
        """Whether its value must never be seen."""
        return self.kind in SECRET_KINDS

    @property
    def label(self) -> str:
        """How people read it."""
        return self.title or self.name.replace("_", " ").capitalize()

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the field means anything, given the values of the others."""
        return all(
            values.get(name) in (wanted if isinstance(wanted, list | tuple) else [wanted])
            for name, wanted in self.when.items()
        )

    def read(self, text: str) -> Any:
        """What a person typed, as a value of the field's kind; None for nothing. Raises `ValueError`."""
        if not text.strip():
            return None
        # What surrounds a pasted secret is no part of it; what stands between its lines is.
        reader: Callable[[str], Any] = _READERS.get(self.kind, _stripped)
        return self.checked(reader(text))

    def checked(self, value: Any) -> Any:
        """A value, as YAML gives it, if it fits. Raises `ValueError` that says what is wanted, never the value of a
        secret."""
        if value is None:
            return None
        fitted: Callable[[Any], Any] = _FITTED.get(self.kind, _text)
        value = fitted(value)
        if self.options and self.kind != "json":
            for each in value if isinstance(value, list) else [value]:
                if each not in self.options:
                    raise ValueError(f"is one of: {', '.join(map(str, self.options))}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.min is not None and value < self.min:
                raise ValueError(f"is at least {self.min:g}")
            if self.max is not None and value > self.max:
                raise ValueError(f"is at most {self.max:g}")
        if self.pattern and isinstance(value, str) and not re.fullmatch(self.pattern, value):
            like = f", such as {self.example}" if self.example is not None else f": it matches {self.pattern}"
            raise ValueError(f"does not look like one{like}")
        return value


def _stripped(text: str) -> str:
    return text.strip()


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is text")
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("is a whole number")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is a number")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is true or false")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError("is a list")
    return list(value)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError("is a date, such as 2024-01-31") from None


def _instant(value: Any) -> datetime | date:
    if isinstance(value, date):
        return value
    try:
        return instant(value)
    except (ValueError, TypeError, AttributeError):
        raise ValueError("is a time, such as 2024-01-31T00:00:00Z") from None


def _url(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/]+\S*", text, re.IGNORECASE):
        raise ValueError("is a URL, such as https://example.com")
    return text


def _read_integer(text: str) -> int:
    try:
        return int(text.strip())
    except ValueError:
        raise ValueError("is a whole number") from None


def _read_number(text: str) -> float:
    try:
        return float(text.strip())
    except ValueError:
        raise ValueError("is a number") from None


def _read_truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false", "yes", "no", "y", "n", "on", "off", "1", "0"):
        raise ValueError("is true or false")
    return word in ("true", "yes", "y", "on", "1")


def _read_list(text: str) -> list[Any]:
    if text.strip().startswith("["):
        return _list(_read_json(text))
    return [part.strip() for part in text.split(",") if part.strip()]


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"is JSON ({error.args[0].split(':')[0]})") from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": _read_integer, "float": _read_number, "bool": _read_truth, "list": _read_list, "json": _read_json,
}  # fmt: skip
_FITTED: Mapping[str, Callable[[Any], Any]] = {
    "int": _integer, "float": _number, "bool": _truth, "list": _list, "date": _date, "datetime": _instant,
    "url": _url, "json": lambda value: value, "enum": lambda value: value,
}  # fmt: skip


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
        description="called with the same arguments; gives a `dango.job.Inspection` for live choices and tests",
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
    rate_limit: RateLimit = RateLimit()
    requires: tuple[StrictStr, ...] = Field(default=(), description="packages that the source needs, as pip takes them")
    fields: tuple[FieldSpec, ...] = ()
    groups: tuple[tuple[StrictStr, ...], ...] = Field(
        default=(), description="sets of fields, of which at least one must be filled in whole"
    )
    build: Annotated[RestApi | Function | Verified, Field(discriminator="kind")]
    select: Selection = Selection()
    describe: dict[StrictStr, StrictStr] = Field(default_factory=dict, description="a line for each resource")
    check: Check = Check()
    verify: Verify = Verify()

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
