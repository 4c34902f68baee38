"""A field of a registry entry: what the wizard asks, and which values it takes, typed or as YAML has them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, SchemaError

from dango.config.resource import Strict
from dango.conversions import instant

FIELD_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"

Kind = Literal[
    "string", "secret", "int", "float", "bool", "enum", "list", "date", "datetime", "path", "url", "json", "secret_file"
]
SECRET_KINDS = ("secret", "secret_file", "secret_json")
"""The last is the wizard's alone: in a registry's file no field is of that kind."""
EMPTY: tuple[Any, ...] = (None, "", [])
"""What counts as no value."""


def _pattern(value: Any) -> Any:
    try:
        re.compile(value)
    except (re.error, TypeError) as error:
        raise PydanticCustomError("entry", "`pattern` is no regular expression: {why}", {"why": str(error)}) from error
    try:
        _whole(value)
    except SchemaError as error:
        why = str(error).strip().splitlines()[-1].strip().removeprefix("error: ")
        raise PydanticCustomError("entry", "`pattern` takes an unknown time: {why}", {"why": why}) from error
    return value


@cache
def _whole(pattern: str) -> TypeAdapter[str]:
    """Takes texts that fit as a whole. In time that grows with the text alone: Rust's `regex` does not try again."""
    return TypeAdapter(Annotated[str, StringConstraints(pattern=f"^(?:{pattern})$", strict=True)])


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
        if self.pattern and isinstance(value, str) and not self._fits(value):
            like = f", such as {self.example}" if self.example is not None else f": it matches {self.pattern}"
            raise ValueError(f"does not look like one{like}")
        return value

    def _fits(self, value: str) -> bool:
        assert self.pattern is not None
        try:
            _whole(self.pattern).validate_python(value)
        except ValidationError:
            return False
        return True


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
    "secret_json": _read_json,
}  # fmt: skip
_FITTED: Mapping[str, Callable[[Any], Any]] = {
    "int": _integer, "float": _number, "bool": _truth, "list": _list, "date": _date, "datetime": _instant,
    "url": _url, "json": lambda value: value, "secret_json": lambda value: value, "enum": lambda value: value,
}  # fmt: skip
