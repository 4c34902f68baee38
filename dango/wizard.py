"""Which question comes next. Pure: no terminal, no network, no file.

Answers are kept by the question's key, in the order in which they were given, so that going back is taking the last
one away. Every kind of source is asked for in one way: a registry entry brings its fields, and for any other dlt
source they are read from its signature. What the answers come to is in `answers`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dango import specification
from dango.probe import Inspection, Table
from dango.project import NATIVE
from dango.question import NAME, REQUIREMENTS, Choice, Question, field_key, free_name, is_reference
from dango.registry.entry import Entry
from dango.registry.field import FieldSpec

ADVANCED = "advanced"
RESOURCES = "resources"
LOADING = "loading"
NONE = ""
"""The choice of no answer."""
AS_NOW, AS_PROPOSED, ONE_BY_ONE, EVERYTHING = "now", "proposed", "each", "replace"

Answers = dict[str, Any]


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
    streams: tuple[str, ...] | None = None
    """What a connector has, as it says itself; empty where it says nothing, None before it was asked."""
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

    @property
    def specified(self) -> bool:
        """Whether the fields are those of which a connector has told itself."""
        return any(specification.is_option(spec.name) for spec in self.entry.fields)


def next_question(subject: Subject, answers: Answers) -> Question | None:
    """The first question still to be asked; None when the answers are complete."""
    return next((question for question in questions(subject, answers) if question.key not in answers), None)


def questions(subject: Subject, answers: Answers) -> Iterator[Question]:
    """Every question that the answers so far lead to, in order, answered ones too."""
    yield _name(subject)
    shown = [spec for spec in applying(subject, answers) if not folded(subject.entry, spec)]
    options = [spec for spec in shown if specification.is_option(spec.name) or spec.name in specification.WHOLE]
    yield from (_field(subject, spec) for spec in shown if spec not in options)
    if subject.entry.environment is not None:
        yield _requirements(subject)
    yield from (_field(subject, spec) for spec in options)
    hidden = [spec for spec in applying(subject, answers) if spec not in shown]
    if hidden:
        yield _chosen(subject, hidden) if subject.specified else _advanced(subject, hidden)
        wanted = answers.get(ADVANCED) or ()
        yield from (_field(subject, spec) for spec in hidden if wanted is True or spec.name in wanted)
    yield from _resources(subject, answers)


def connector(subject: Subject, answers: Answers) -> tuple[Any, ...] | None:
    """What says which connector is meant, in which environment; None while that is not answered, or there is none."""
    if not specification.is_connectors(subject.entry):
        return None
    needed = [
        field_key(spec) for spec in subject.entry.fields if spec.required and not specification.is_option(spec.name)
    ]
    keys = (NAME, *needed, REQUIREMENTS)
    return tuple(answers[key] for key in keys) if answers.keys() >= {*keys} else None


def back(answers: Answers, fixed: Collection[str] = ()) -> Answers:
    """The answers without the last one, but for those that are not asked for."""
    last = next((key for key in reversed(answers) if key not in fixed), None)
    return {key: value for key, value in answers.items() if key != last}


def folded(entry: Entry, spec: FieldSpec) -> bool:
    """Whether a field is asked only of those who want to see all."""
    one_is_needed = any(spec.name in group for group in entry.groups)
    whole = spec.name == specification.CONFIG and specification.is_connectors(entry)
    return spec.advanced or not (spec.required or spec.secret or one_is_needed or whole)


def values(subject: Subject, answers: Answers) -> dict[str, Any]:
    """The fields' values as far as they are known: answers, else what is there already, else defaults."""
    block = subject.block
    given = {spec.name: answers.get(field_key(spec), _written(block, spec)) for spec in subject.entry.fields}
    return {**subject.entry.defaults(), **{name: value for name, value in given.items() if value is not None}}


def _written(block: Mapping[str, Any], spec: FieldSpec) -> Any:
    path = specification.path_of(spec.name) if specification.is_option(spec.name) else (spec.name,)
    return specification.at(block, path)


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


def table_key(table: str) -> str:
    """The key of the answer to how a table is loaded."""
    return f"table.{table}"


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


def _requirements(subject: Subject) -> Question:
    proposed = subject.entry.environment
    earlier = subject.earlier.get(REQUIREMENTS)
    spec = FieldSpec(
        name=REQUIREMENTS,
        kind="list",
        title="Packages that bring it",
        help="As behind `pip install`, for an environment of its own; nothing if it is on this machine",
    )
    default = list(proposed.requirements) if earlier is None and proposed else earlier
    return Question(REQUIREMENTS, spec, default=default or None)


def _chosen(subject: Subject, hidden: Sequence[FieldSpec]) -> Question:
    """Which of the settings that nobody needs are to be asked for: a connector may have a hundred."""
    width = min(30, max(len(spec.label) for spec in hidden))
    choices = tuple(Choice(spec.name, f"{spec.label:{width}}  {_shortened(spec.help)}".rstrip()) for spec in hidden)
    given = [spec.name for spec in hidden if field_key(spec) in subject.earlier]
    spec = FieldSpec(name=ADVANCED, kind="list", title=f"Set any of {len(hidden)} more?")
    return Question(ADVANCED, spec, choices, True, subject.earlier.get(ADVANCED) or given)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _advanced(subject: Subject, hidden: Sequence[FieldSpec]) -> Question:
    names = ", ".join(spec.label for spec in hidden)
    spec = FieldSpec(name=ADVANCED, kind="bool", title=f"Change any of {len(hidden)} more settings?", help=names)
    changed = any(field_key(spec) in subject.earlier for spec in hidden)
    return Question(ADVANCED, spec, default=subject.earlier.get(ADVANCED, changed))


def _resources(subject: Subject, answers: Answers) -> Iterator[Question]:
    if subject.entry.select.live:
        yield from _tables(subject, answers)
        return
    if subject.streams and len(subject.streams) > 1:
        yield _streams(subject, subject.streams)
        return
    names = subject.entry.resources
    if not names or subject.native:
        return
    width = max(map(len, names))
    choices = tuple(Choice(name, f"{name:{width}}  {subject.entry.describe.get(name, '')}".rstrip()) for name in names)
    spec = FieldSpec(name=RESOURCES, kind="list", title="What shall be loaded?", required=True)
    default = subject.earlier.get(RESOURCES) or list(subject.entry.select.default or names)
    yield Question(RESOURCES, spec, choices, True, [name for name in default if name in names])


def _streams(subject: Subject, streams: Sequence[str]) -> Question:
    spec = FieldSpec(name=RESOURCES, kind="list", title="Which streams?", required=True)
    earlier = [name for name in subject.earlier.get(RESOURCES) or () if name in streams]
    return Question(RESOURCES, spec, tuple(Choice(name, name) for name in streams), True, earlier or list(streams))


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
