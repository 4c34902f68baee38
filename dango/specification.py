"""What a connector says it may be told, as fields of a wizard: a question for each, in place of its settings whole.

Such a field is named by its path in the connector's settings, `config.region.name`; what is secret stands at the same
path in `secrets.toml`, below `secrets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dango.probe import About, Option
from dango.registry.entry import Entry, Function
from dango.registry.field import FieldSpec

CONFIG, SECRETS = WHOLE = "config", "secrets"
"""The fields that hold a connector's settings whole."""
_BEFORE = f"{CONFIG}."
_KINDS = {
    "string": "string", "integer": "int", "number": "float", "boolean": "bool", "array of string": "list",
}  # fmt: skip


def is_connectors(entry: Entry) -> bool:
    """Whether it runs another framework's connector, whose settings are the connector's to tell."""
    return entry.environment is not None and isinstance(entry.build, Function) and entry.build.about is not None


def is_option(name: str) -> bool:
    """Whether a field of this name is one of a connector's settings."""
    return name.startswith(_BEFORE)


def path_of(name: str, *, apart: bool = False) -> tuple[str, ...]:
    """Where a connector's setting stands in the source's block, or apart from it, among its secrets."""
    return (SECRETS if apart else CONFIG, *name.removeprefix(_BEFORE).split("."))


def unasked(entry: Entry) -> Entry:
    """The entry as long as nobody has asked the connector: its settings are typed as JSON, the secret ones unseen."""
    if not is_connectors(entry):
        return entry
    return _with(entry, [_unseen(spec) if spec.name == SECRETS else spec for spec in entry.fields])


def specified(entry: Entry, about: About) -> Entry:
    """The entry with a field for each of the connector's settings; as it is where the connector tells none."""
    if not about.options:
        return entry
    options = [_field(option) for option in about.options]
    fields: list[FieldSpec] = []
    for spec in entry.fields:
        fields += options if spec.name == CONFIG else [] if spec.name == SECRETS else [spec]
    return _with(entry, fields)


def at(section: Any, path: Sequence[str]) -> Any:
    """What stands at a path of keys; None where nothing does."""
    for part in path:
        section = section.get(part) if isinstance(section, Mapping) else None
    return section


def _with(entry: Entry, fields: Sequence[FieldSpec]) -> Entry:
    return entry.model_copy(update={"fields": tuple(fields)})


def _unseen(spec: FieldSpec) -> FieldSpec:
    return spec.model_copy(update={"kind": "secret_json", "advanced": False, "help": "As JSON, or nothing"})


def _field(option: Option) -> FieldSpec:
    """Made without the checks of a registry's file: names and defaults are the connector's to choose."""
    default = None if option.secret else option.default
    return FieldSpec.model_construct(
        name=f"{_BEFORE}{option.name}",
        kind=_kind(option),
        title=option.name,
        help=option.help,
        required=option.required,
        default=default,
        options=() if option.secret else option.choices,
        when={f"{_BEFORE}{name}": list(wanted) for name, wanted in option.when.items()},
    )


def _kind(option: Option) -> str:
    if option.secret:
        return "secret"
    if option.choices:
        return "enum"
    kinds = option.kind.split(" or ")
    if len(kinds) > 1:
        return "string" if "string" in kinds else "json"
    return _KINDS.get(option.kind, "json")
