"""What answers come to: a source's item in `sources.yml`, and its secrets. Also where answers come from that nobody
was asked for: options, and the source as it is. Pure, as `wizard` is."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dango.errors import UsageError, near
from dango.probe import About, Table
from dango.project import NATIVE
from dango.question import NAME, REQUIREMENTS, Question, checked_name, field_key, is_reference, required
from dango.registry.entry import Entry, Function, RestApi
from dango.registry.field import FieldSpec
from dango.specification import at, is_option, path_of, specified
from dango.wizard import (
    AS_NOW,
    EVERYTHING,
    LOADING,
    ONE_BY_ONE,
    RESOURCES,
    Answers,
    Subject,
    applying,
    table_key,
    values,
)


@dataclass(frozen=True, slots=True)
class Made:
    """What the answers come to: the source's item in `sources.yml`, and its section in `secrets.toml`."""

    item: dict[str, Any]
    secrets: dict[str, Any] = field(repr=False)


def made(subject: Subject, answers: Answers) -> Made:
    """The source that the answers describe. What is as it would be anyway is not written.

    Of a source that is changed, everything stays that no question is about.
    """
    asked = applying(subject, answers)
    block: dict[str, Any] = copy.deepcopy(dict(subject.block))
    secrets: dict[str, Any] = {}
    for spec in (*asked, *applying(subject, dict(subject.earlier))):
        _take(block, _path(subject, spec))
    for spec in asked:
        key, path = field_key(spec), _path(subject, spec)
        value, written = answers.get(key), at(subject.block, path)
        if key not in answers and written is None and _is_needed(spec):
            value = spec.default
        kept = (key not in answers and value is None) or (value is None and spec.name in subject.stored)
        if kept or value == written:
            if written is not None:
                _put(block, path, written)
        elif value is not None and not (written is None and _is_default(spec, value)):
            apart = _is_kept_apart(subject, spec, value, written)
            _put(secrets if apart else block, _path(subject, spec, apart=apart), value)
    item = {**subject.present, "name": answers[NAME], "type": subject.entry.id}
    if REQUIREMENTS in answers:
        _set(item, "environment", _environment(subject, answers[REQUIREMENTS]))
    _set(item, RESOURCES, _chosen(subject, answers))
    _set(item, subject.entry.id, _native_block(subject, block) if subject.native else block)
    return Made(item, secrets)


def placed_after(item: Mapping[str, Any], after: str, key: str, value: Any) -> dict[str, Any]:
    """The item with a key that stands behind another."""
    placed: dict[str, Any] = {}
    for name, each in item.items():
        if name != key:
            placed[name] = each
        if name == after:
            placed[key] = value
    return placed


def told(subject: Subject, about: About, section: Mapping[str, Any]) -> Subject:
    """The questions about a connector that has said what it may be told, with the answers that are there already.

    Args:
        subject: what is asked for.
        about: what the connector says.
        section: the source's section of `secrets.toml`.
    """
    known = replace(subject, entry=specified(subject.entry, about))
    there, stored = _there(known, section)
    return replace(known, earlier={**there, **subject.earlier}, stored=subject.stored | stored)


def unanswered(subject: Subject, answers: Answers) -> list[FieldSpec]:
    """The fields that are needed and have no answer."""
    return [spec for spec in subject.entry.missing(values(subject, answers)) if spec.name not in subject.stored]


def of_present(entry: Entry, item: Mapping[str, Any], section: Mapping[str, Any], *, plugin: bool = False) -> Subject:
    """The questions about a source that is there, with its answers to offer again.

    Args:
        entry: of its type.
        item: the source in `sources.yml`.
        section: its section of `secrets.toml`.
        plugin: whether it is a package's source.
    """
    subject = Subject(entry, plugin=plugin, present=item)
    there, stored = _there(subject, section)
    earlier = {NAME: item["name"], **there, RESOURCES: list(item.get(RESOURCES) or {})}
    if environment := item.get("environment"):
        earlier[REQUIREMENTS] = list(environment.get("requirements") or ())
    return replace(subject, earlier=earlier, stored=stored)


def _there(subject: Subject, section: Mapping[str, Any]) -> tuple[Answers, frozenset[str]]:
    """The answers that a source holds, and the fields that have a value elsewhere, or one that is not shown."""
    found: Answers = {}
    stored = set()
    for spec in subject.entry.fields:
        written = at(subject.block, _path(subject, spec))
        apart = at(section, _path(subject, spec, apart=True))
        value = apart if written is None and not spec.secret else written
        if value is not None:
            found[field_key(spec)] = value
        if apart is not None or (spec.secret and written is not None):
            stored.add(spec.name)
    return found, frozenset(stored)


def of_options(
    subject: Subject,
    name: str | None,
    given: Sequence[str],
    secrets: Sequence[str],
    resources: Sequence[str],
    requirements: Sequence[str] = (),
) -> Answers:
    """The answers that options hold, but for a secret that comes on stdin.

    Args:
        subject: what is asked for.
        name: of a source that is added.
        given: `KEY=VALUE` texts.
        secrets: `KEY=env:NAME`, or `KEY` for one that comes on stdin.
        resources: names of what is to be loaded.
        requirements: packages of an environment of the source's own.

    Raises:
        UsageError: with every key that is unknown and every value that does not fit.
    """
    answers: Answers = {}
    faults = []
    if name is not None:
        try:
            answers[NAME] = checked_name(name, subject.names)
        except ValueError as error:
            faults.append(f"--name {name}: it {error}")
    for text in (*given, *(text for text in secrets if "=" in text)):
        key, equals, value = text.partition("=")
        spec = subject.entry.field(key)
        if fault := _fault(subject.entry, spec, key, value if equals else None, is_set=text in given):
            faults.append(fault)
            continue
        assert spec is not None
        try:
            answers[field_key(spec)] = Question(field_key(spec), spec).read(value)
        except ValueError as error:
            faults.append(f"`{key}` {error}")
    piped = [text for text in secrets if "=" not in text]
    faults += [fault for key in piped if (fault := _unknown_secret(subject.entry, key))]
    if len(piped) > 1:
        faults.append("only one secret can come on stdin: give the others as KEY=env:NAME")
    faults += _unknown_resources(subject.entry, resources)
    if requirements:
        try:
            answers[REQUIREMENTS] = required(requirements)
        except ValueError as error:
            faults.append(f"--requirement {error}")
    if faults:
        raise UsageError("\n".join(faults))
    return {**answers, **({RESOURCES: list(resources)} if resources else {})}


def of_stdin(subject: Subject, name: str, text: str) -> Answers:
    """The answer that came on stdin. Raises `UsageError`, which does not show it."""
    spec = subject.entry.field(name)
    assert spec is not None
    try:
        value = Question(field_key(spec), spec).read(text)
    except ValueError as error:
        raise UsageError(f"`{name}` {error}") from error
    if value is None:
        raise UsageError(f"--secret {name}: nothing came on stdin")
    return {field_key(spec): value}


def _fault(entry: Entry, spec: FieldSpec | None, name: str, value: str | None, *, is_set: bool) -> str:
    if value is None:
        return f"`{name}` is not KEY=VALUE"
    if not is_set and (fault := _unknown_secret(entry, name)):
        return fault
    if spec is None:
        known = [each.name for each in entry.fields]
        return f"`{entry.id}` has no field `{name}`{near(name, known)}; its fields: {', '.join(known)}"
    if spec.secret and not value.startswith("env:"):
        return (
            f"`{name}` is a secret, which does not belong on a command line, where others can read it:"
            f" --secret {name}=env:NAME refers to the environment; --secret {name} reads the value from stdin"
        )
    return ""


def _unknown_secret(entry: Entry, name: str) -> str:
    known = [spec.name for spec in entry.secrets]
    if name in known:
        return ""
    # Not said again: it may be the secret itself.
    return f"--secret: `{entry.id}` has no secret of that name{near(name, known)}; it has: {', '.join(known) or 'none'}"


def _unknown_resources(entry: Entry, names: Iterable[str]) -> list[str]:
    # What a function has is not known before it is called.
    known = entry.resources if isinstance(entry.build, RestApi) else ()
    return [
        f"`{entry.id}` has no resource `{name}`{near(name, known)}; its resources: {', '.join(known)}"
        for name in names
        if known and name not in known
    ]


def _environment(subject: Subject, requirements: Sequence[str] | None) -> dict[str, Any]:
    """The source's own environment; none without requirements."""
    if not requirements:
        return {}
    proposed = subject.entry.environment
    made = {"build_constraints": list(proposed.build_constraints)} if proposed and proposed.build_constraints else {}
    return {**(subject.present.get("environment") or made), "requirements": list(requirements)}


def _is_needed(spec: FieldSpec) -> bool:
    """Whether a connector wants it said, even where that is its default."""
    return is_option(spec.name) and spec.required


def _path(subject: Subject, spec: FieldSpec, *, apart: bool = False) -> tuple[str, ...]:
    """Where a field stands in the block, or apart from it: those of credentials in a mapping of their own."""
    if is_option(spec.name):
        return path_of(spec.name, apart=apart)
    return tuple(spec.name.split("__")) if _is_embedded(subject, spec) else (spec.name,)


def _is_embedded(subject: Subject, spec: FieldSpec) -> bool:
    build = subject.entry.build
    described = subject.native or subject.plugin
    return described and isinstance(build, Function) and spec.name not in build.args


def _is_kept_apart(subject: Subject, spec: FieldSpec, value: Any, written: Any) -> bool:
    """Whether a value goes into `secrets.toml`: all parts of credentials do, since dlt looks for them together."""
    if is_reference(value):
        return False
    return spec.secret or (_is_embedded(subject, spec) and written is None)


def _is_default(spec: FieldSpec, value: Any) -> bool:
    if _is_needed(spec):
        return False
    try:
        return bool(value in (spec.default, spec.checked(spec.default)))
    except ValueError:
        return bool(value == spec.default)


def _native_block(subject: Subject, arguments: Mapping[str, Any]) -> dict[str, Any]:
    assert isinstance(subject.entry.build, Function)
    module, _, function = subject.entry.build.function.partition(":")
    block = {**(subject.present.get(NATIVE) or {}), "source_module": module, "source_function": function}
    _set(block, "function_kwargs", arguments)
    return block


def _chosen(subject: Subject, answers: Answers) -> list[str] | dict[str, Any]:
    written = subject.present.get(RESOURCES) or []
    names = list(answers.get(RESOURCES) or ())
    if RESOURCES not in answers or names == list(written):
        names = list(written)
    if not written and names == list(subject.streams or ()):
        # All, and those that come to be.
        return []
    if not subject.entry.select.live:
        usual = list(subject.entry.select.default or subject.entry.resources)
        if subject.present and not written and names == usual:
            return []
        return {name: written.get(name) for name in names} if isinstance(written, Mapping) else names
    tables = {table.name: table for table in (subject.inspection.tables if subject.inspection else ())}
    hints = {name: _hints(tables.get(name), answers, name in written) for name in names}
    if isinstance(written, Mapping):
        return {name: written.get(name) if how is None else how for name, how in hints.items()}
    return hints if any(hints.values()) else names


def _hints(table: Table | None, answers: Answers, there: bool) -> dict[str, Any] | None:
    """How a table is loaded; None for what is said of it already, or for nothing."""
    way = answers.get(LOADING, AS_NOW)
    if table is None or (there and way == AS_NOW):
        return None
    if way == EVERYTHING:
        return {"write_disposition": "replace"}
    return dict(table.proposals[answers.get(table_key(table.name), 0) if way == ONE_BY_ONE else 0])


def _set(mapping: dict[str, Any], key: str, value: Any) -> None:
    """The value under its key; no key where there is nothing to say."""
    if value:
        mapping[key] = value
    else:
        mapping.pop(key, None)


def _put(section: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, key = path
    for parent in parents:
        section = section.setdefault(parent, {})
    section[key] = value


def _take(section: dict[str, Any], path: Sequence[str]) -> None:
    """Without what stands at the path, and without the mapping that is empty then."""
    key, *rest = path
    if rest and isinstance(section.get(key), dict):
        _take(section[key], rest)
    if not rest or section.get(key) == {}:
        section.pop(key, None)
