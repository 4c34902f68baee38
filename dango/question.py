"""One question, and what would be an answer to it. Pure, as `wizard` is, which says which of them comes next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dango.config.kinds import corrected, no_name
from dango.config.models import Environment
from dango.project import ENV_REFERENCE
from dango.registry.field import FieldSpec

NAME = "name"
REQUIREMENTS = "requirements"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several answers, and how people read it."""

    value: Any
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and what would be an answer."""

    key: str
    spec: FieldSpec
    choices: tuple[Choice, ...] = ()
    many: bool = False
    default: Any = None
    kept: bool = False
    """Whether it has a value already, which no answer keeps."""
    live: bool = False
    """Whether the choices are what the source has, which somebody has to look up first."""
    taken: tuple[str, ...] = ()
    """What a name may not be."""

    @property
    def typed(self) -> str:
        """The default as a person would type it."""
        return "" if self.default is None or self.spec.secret else _typed(self.default, self.spec)

    def read(self, text: str) -> Any:
        """What a person typed, as an answer; None for nothing. Raises `ValueError` that says what is wanted."""
        value = self._read(text)
        # Read back, a default may be another value than it was: a date where the file has text.
        return self.default if text.strip() and text.strip() == self.typed else value

    def _read(self, text: str) -> Any:
        if (
            self.key == field_key(self.spec)
            and text.strip().startswith("env:")
            and not text.strip().startswith("env::")
        ):
            if not ENV_REFERENCE.fullmatch(text.strip()):
                raise ValueError("after `env:` comes the name of an environment variable")
            return text.strip()
        if self.key == REQUIREMENTS:
            return requirements_in(text)
        options = {str(option): option for option in self.spec.options} if self.spec.kind == "enum" else {}
        value = options[text.strip()] if text.strip() in options else self.spec.read(text)
        if value in (None, []) and self.spec.required and not self.kept:
            raise ValueError("is needed")
        return checked_name(value, self.taken) if self.key == NAME else value


def is_reference(value: Any) -> bool:
    """Whether it is `env:NAME`."""
    return isinstance(value, str) and bool(ENV_REFERENCE.fullmatch(value))


def field_key(spec: FieldSpec) -> str:
    """The key of a field's answer."""
    return f"field.{spec.name}"


def requirements_in(text: str) -> list[str]:
    """Packages as they are typed behind `pip install`. Raises `ValueError` where one is none."""
    return required(shlex.split(text))


def required(requirements: Sequence[str]) -> list[str]:
    """The requirements, if an environment can have them. Raises `ValueError`, which says why not."""
    try:
        return list(Environment(requirements=tuple(requirements)).requirements)
    except ValidationError as error:
        raise ValueError(f"cannot be that: {error.errors()[0]['msg']}") from None


def checked_name(name: str, taken: Sequence[str]) -> str:
    """The name, if a source can have it. Raises `ValueError`."""
    if why := no_name(name):
        raise ValueError(f"{why}; use `{corrected(name)}`")
    if name in taken:
        raise ValueError("is the name of another source")
    return name


def free_name(wanted: str, taken: Collection[str]) -> str:
    """A name like the wanted one that no source has."""
    name, number = corrected(wanted), 2
    while name in taken:
        name, number = f"{corrected(wanted)[:44]}_{number}", number + 1
    return name


def _typed(value: Any, spec: FieldSpec) -> str:
    if is_reference(value):
        return str(value)
    if spec.kind == "json":
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and spec.name == REQUIREMENTS:
        return shlex.join(value)
    if isinstance(value, list | tuple):
        plain = all(isinstance(item, str) and item == item.strip() and not {*",["} & {*item} for item in value)
        return ", ".join(value) if plain else json.dumps(value, default=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
