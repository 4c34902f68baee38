"""Which question comes next. Pure: no terminal, no network, no file.

Answers are kept by the question's key, in the order in which they were given, so that going back is taking the last
one away. Every kind of source is asked for in one way: a registry entry brings its fields, and for any other dlt
source they are read from its signature. What the answers come to is in `answers`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dango.config.kinds import NAME_PATTERN, corrected
from dango.probe import Inspection, Table
from dango.project import ENV_REFERENCE, NATIVE
from dango.registry.entry import Entry
from dango.registry.field import FieldSpec

NAME = "name"
ADVANCED = "advanced"
RESOURCES = "resources"
LOADING = "loading"
NONE = ""
"""The choice of no answer."""
AS_NOW, AS_PROPOSED, ONE_BY_ONE, EVERYTHING = "now", "proposed", "each", "replace"

Answers = dict[str, Any]


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
        options = {str(option): option for option in self.spec.options} if self.spec.kind == "enum" else {}
        value = options[text.strip()] if text.strip() in options else self.spec.read(text)
        if value in (None, []) and self.spec.required and not self.kept:
            raise ValueError("is needed")
        return checked_name(value, self.taken) if self.key == NAME else value


@dataclass(frozen=True, slots=True)
class Subject:
    """What the questions are about."""

    entry: Entry
    names: tuple[str, ...] = ()
    """Names that other sources have."""
    earlier: Mapping[str, Any] = field(default_factory=dict)
    """Answers to offer again: of a draft, or the source as it is."""
    stored: frozenset[str] = frozenset()
    """The fields that have a value somewhere else than in `sources.yml`: secrets, most of them."""
    inspection: Inspection | None = None
    """What the source was found to have; None before anybody looked."""
    plugin: bool = False
    """Whether it is a package's source, whose fields are read from its function as those of `dlt_native` are."""
    present: Mapping[str, Any] = field(default_factory=dict)
    """The source's item in `sources.yml`, where one is changed and not added."""

    @property
    def native(self) -> bool:
        """Whether the answers become a `dlt_native` block, and not that of a registry entry."""
        return self.entry.id == NATIVE

    @property
    def block(self) -> Mapping[str, Any]:
        """The fields as they stand in the present item."""
        block = self.present.get(self.entry.id) or {}
        return (block.get("function_kwargs") or {}) if self.native else block


def next_question(subject: Subject, answers: Answers) -> Question | None:
    """The first question still to be asked; None when the answers are complete."""
    return next((question for question in questions(subject, answers) if question.key not in answers), None)


def questions(subject: Subject, answers: Answers) -> Iterator[Question]:
    """Every question that the answers so far lead to, in order, answered ones too."""
    yield _name(subject)
    shown = [spec for spec in applying(subject, answers) if not folded(subject.entry, spec)]
    yield from (_field(subject, spec) for spec in shown)
    hidden = [spec for spec in applying(subject, answers) if spec not in shown]
    if hidden:
        yield _advanced(subject, hidden)
        if answers.get(ADVANCED):
            yield from (_field(subject, spec) for spec in hidden)
    yield from _resources(subject, answers)


def back(answers: Answers, fixed: Collection[str] = ()) -> Answers:
    """The answers without the last one, but for those that are not asked for."""
    last = next((key for key in reversed(answers) if key not in fixed), None)
    return {key: value for key, value in answers.items() if key != last}


def folded(entry: Entry, spec: FieldSpec) -> bool:
    """Whether a field is asked only of those who want to see all."""
    one_is_needed = any(spec.name in group for group in entry.groups)
    return spec.advanced or not (spec.required or spec.secret or one_is_needed)


def values(subject: Subject, answers: Answers) -> dict[str, Any]:
    """The fields' values as far as they are known: answers, else what is there already, else defaults."""
    block = subject.block
    given = {spec.name: answers.get(field_key(spec), block.get(spec.name)) for spec in subject.entry.fields}
    return {**subject.entry.defaults(), **{name: value for name, value in given.items() if value is not None}}


def applying(subject: Subject, answers: Answers) -> list[FieldSpec]:
    """The fields that mean something, given the answers."""
    known = values(subject, answers)
    return [spec for spec in subject.entry.fields if spec.applies(known)]


def reminded(subject: Subject, before: Answers) -> Subject:
    """The same, with what was answered before offered again; secrets are kept, not shown."""
    secrets = {spec.name for spec in subject.entry.secrets if before.get(field_key(spec)) is not None}
    earlier = {**subject.earlier, **without_secrets(subject, before)}
    return replace(subject, earlier=earlier, stored=subject.stored | secrets)


def without_secrets(subject: Subject, answers: Answers) -> Answers:
    """The answers that may be kept in a file."""
    secret = {field_key(spec) for spec in subject.entry.fields if spec.secret or "__" in spec.name}
    return {
        key: value for key, value in answers.items() if value is not None and (key not in secret or is_reference(value))
    }


def is_reference(value: Any) -> bool:
    """Whether it is `env:NAME`."""
    return isinstance(value, str) and bool(ENV_REFERENCE.fullmatch(value))


def field_key(spec: FieldSpec) -> str:
    """The key of a field's answer."""
    return f"field.{spec.name}"


def table_key(table: str) -> str:
    """The key of the answer to how a table is loaded."""
    return f"table.{table}"


def checked_name(name: str, taken: Sequence[str]) -> str:
    """The name, if a source can have it. Raises `ValueError`."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(f"is lower-case letters, digits and `_`, a letter first: {corrected(name)}")
    if name in taken:
        raise ValueError("is the name of another source")
    return name


def free_name(wanted: str, taken: Collection[str]) -> str:
    """A name like the wanted one that no source has."""
    name, number = corrected(wanted), 2
    while name in taken:
        name, number = f"{corrected(wanted)[:44]}_{number}", number + 1
    return name


def said(hints: Mapping[str, Any]) -> str:
    """Hints of a resource in a person's words."""
    cursor = hints.get("cursor", {}).get("field", "")
    key = hints.get("primary_key", "")
    keys = ", ".join(key) if isinstance(key, list | tuple) else key
    match hints.get("write_disposition"):
        case "merge":
            return f"what changed, by {cursor}, merged on {keys}" if cursor else f"everything, merged on {keys}"
        case "append":
            return f"only new rows, by {cursor}"
        case None:
            return "what is new"
        case _:
            return "everything, every time"


def _typed(value: Any, spec: FieldSpec) -> str:
    if is_reference(value):
        return str(value)
    if spec.kind == "json":
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        plain = all(isinstance(item, str) and item == item.strip() and not {*",["} & {*item} for item in value)
        return ", ".join(value) if plain else json.dumps(value, default=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _name(subject: Subject) -> Question:
    spec = FieldSpec(
        name=NAME, title="Name of the source", required=True, help="Its data goes to the dataset raw_<name>"
    )
    wanted = free_name(subject.earlier.get(NAME) or subject.entry.id, subject.names)
    return Question(NAME, spec, default=wanted, taken=subject.names)


def _field(subject: Subject, spec: FieldSpec) -> Question:
    inspection = subject.inspection
    found = inspection.choices.get(spec.discover, ()) if inspection and spec.discover else ()
    options = found or spec.options
    earlier = subject.earlier.get(field_key(spec))
    if options and earlier is not None and spec.kind != "list" and earlier not in options:
        # What is there already may be a reference, or what nobody offers any more.
        options = (earlier, *options)
    choices = tuple(Choice(option, str(option)) for option in options)
    if spec.kind == "enum" and not spec.required and spec.default is None:
        choices = (Choice(NONE, "none of these"), *choices)
    many = spec.kind == "list" and bool(choices)
    if many and not isinstance(earlier, list | tuple | None):
        choices, many = (), False
    default = spec.default if earlier is None else earlier
    return Question(
        field_key(spec), spec, choices, many, default, spec.name in subject.stored, live=bool(spec.discover)
    )


def _advanced(subject: Subject, hidden: Sequence[FieldSpec]) -> Question:
    names = ", ".join(spec.label for spec in hidden)
    spec = FieldSpec(name=ADVANCED, kind="bool", title=f"Change any of {len(hidden)} more settings?", help=names)
    changed = any(field_key(spec) in subject.earlier for spec in hidden)
    return Question(ADVANCED, spec, default=subject.earlier.get(ADVANCED, changed))


def _resources(subject: Subject, answers: Answers) -> Iterator[Question]:
    if subject.entry.select.live:
        yield from _tables(subject, answers)
        return
    names = subject.entry.resources
    if not names or subject.native:
        return
    width = max(map(len, names))
    choices = tuple(Choice(name, f"{name:{width}}  {subject.entry.describe.get(name, '')}".rstrip()) for name in names)
    spec = FieldSpec(name=RESOURCES, kind="list", title="What shall be loaded?", required=True)
    default = subject.earlier.get(RESOURCES) or list(subject.entry.select.default or names)
    yield Question(RESOURCES, spec, choices, True, [name for name in default if name in names])


def _tables(subject: Subject, answers: Answers) -> Iterator[Question]:
    tables = subject.inspection.tables if subject.inspection else ()
    width = min(40, max((len(table.name) for table in tables), default=0))
    choices = tuple(Choice(table.name, f"{table.name:{width}}  {_described(table)}".rstrip()) for table in tables)
    earlier = subject.earlier.get(RESOURCES) or [table.name for table in tables if table.readable]
    spec = FieldSpec(
        name=RESOURCES, kind="list", title="Which tables?", required=True, help="" if tables else "a, b, c"
    )
    yield Question(RESOURCES, spec, choices, bool(choices), earlier or None, live=True)
    chosen = [table for table in tables if table.name in (answers.get(RESOURCES) or ())]
    if not chosen:
        return
    yield _loading(subject, chosen)
    if answers.get(LOADING) == ONE_BY_ONE:
        yield from (_one_table(subject, table) for table in chosen)


def _loading(subject: Subject, chosen: Sequence[Table]) -> Question:
    lines = "\n".join(f"  {table.name}: {said(table.proposals[0])}" for table in chosen[:12])
    more = f"\n  and {len(chosen) - 12} more" if len(chosen) > 12 else ""
    choices = (
        *([Choice(AS_NOW, "as now; new ones as proposed")] if subject.present.get(RESOURCES) else []),
        Choice(AS_PROPOSED, "as proposed"),
        Choice(ONE_BY_ONE, "let me choose for each table"),
        Choice(EVERYTHING, "everything, every time"),
    )
    spec = FieldSpec(name=LOADING, title="How shall they be loaded?", help=f"Proposed:\n{lines}{more}")
    return Question(LOADING, spec, choices, default=subject.earlier.get(LOADING, choices[0].value))


def _one_table(subject: Subject, table: Table) -> Question:
    spec = FieldSpec(name=LOADING, title=f"How shall `{table.name}` be loaded?")
    choices = tuple(Choice(number, said(hints)) for number, hints in enumerate(table.proposals))
    earlier = subject.earlier.get(table_key(table.name), 0)
    return Question(table_key(table.name), spec, choices, default=earlier if earlier < len(choices) else 0)


def _described(table: Table) -> str:
    if not table.readable:
        return "(not readable by this user)"
    key = ", ".join(table.primary_key)
    return f"key {key}" if key else "no key"
