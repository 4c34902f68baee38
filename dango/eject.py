"""From a registry entry to what it stands for, and from there to an entry: a source can go either way.

`ejected` writes a `dlt_native` block, and for a declarative entry the file in `custom_sources/` that it names.
`entry_file` makes an entry of a `dlt_native` source, or of a package's.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dango.adding import Change, change, describe, describe_plugin, save
from dango.answers import Made
from dango.config.models import Source
from dango.config.text import yaml_text
from dango.conversions import convert
from dango.errors import UsageError
from dango.files import replace_text, require_inside
from dango.project import NATIVE, Project
from dango.python_text import rest_file
from dango.registry.entry import ID_PATTERN, Entry, Function, RestApi, Verified
from dango.registry.field import FieldSpec
from dango.registry.template import SECRETS, filled, placeholders, pruned
from dango.secret_store import secrets_of
from dango.secrets import SECRETS_FILE


@dataclass(frozen=True, slots=True)
class Ejected:
    """A source as a `dlt_native` one: the change of `sources.yml`, and the file that it needs."""

    change: Change
    file: Path | None = None
    text: str = ""


def ejected(project: Project, source: Source) -> Ejected:
    """What the source would be without the registry; nothing is written yet.

    Raises:
        UsageError: for a `dlt_native` source, for a file that is there, and where an argument cannot be written.
    """
    entry, plugin = project.entry(source), project.plugin(source)
    if entry is None and plugin is None:
        raise UsageError(f"`{source.name}` is {NATIVE} already")
    if source.extends:
        raise UsageError(f"`{source.name}` extends `{source.extends}`", f"dango source eject {source.extends}")
    stored = secrets_of(project.root / SECRETS_FILE, ("sources", source.name))
    item = dict(project.document.data["sources"][project.index(source.name)])
    arguments = item.pop(source.type, None)
    item["type"] = NATIVE
    if plugin is not None:
        block = {"source_module": plugin.module, "source_function": plugin.function}
        block |= {"function_kwargs": arguments} if arguments else {}
        return Ejected(_change(project, source, item, block, {}))
    assert entry is not None
    _loaded(item, source, entry)
    if isinstance(entry.build, RestApi):
        file = project.custom_sources / f"{source.name}.py"
        require_inside(file, project.root)
        if file.exists():
            raise UsageError(f"custom_sources/{file.name} is there already, and is left as it is")
        block, text = _rest(entry, entry.build, source, stored)
        return Ejected(_change(project, source, item, block, {}), file, text)
    block, secrets = _call(entry, entry.build, source, stored)
    return Ejected(_change(project, source, item, block, secrets))


def write(ejected: Ejected) -> None:
    """Stores what was ejected. Raises `DangoError` where a file cannot be written."""
    if ejected.file is not None:
        ejected.file.parent.mkdir(exist_ok=True)
        replace_text(ejected.file, ejected.text)
    try:
        save(ejected.change)
    except BaseException:
        # Ctrl-C, too, leaves no file that nothing names.
        if ejected.file is not None:
            ejected.file.unlink(missing_ok=True)
        raise


def _change(
    project: Project, source: Source, item: dict[str, Any], block: dict[str, Any], secrets: dict[str, Any]
) -> Change:
    return change(project, Made({**item, NATIVE: block}, secrets), replaces=source.name)


def _loaded(item: dict[str, Any], source: Source, entry: Entry) -> None:
    """What the entry says of what is loaded, and how, is said by the source itself."""
    names = list(source.resources or entry.select.default)
    usual = entry.select.hints
    if usual is not None:
        if not names:
            raise UsageError(
                f"`{source.name}` loads all that is there, and how it does is said by its registry entry alone",
                f"say under `resources:` what it loads: dango source edit {source.name}",
            )
        said = item.get("resources") if isinstance(item.get("resources"), Mapping) else {}
        default = usual.model_dump(mode="json", exclude_unset=True)
        own = {name: (said or {}).get(name) or {} for name in names}
        item["resources"] = {name: {**({} if "cursor" in hints else default), **hints} for name, hints in own.items()}
    elif names and not item.get("resources"):
        item["resources"] = names


def _rest(entry: Entry, build: RestApi, source: Source, stored: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The block, and the file, of a declarative source. A field that has no value now is left out of it."""
    known = {**entry.defaults(), **source.block}
    used = [spec for spec in entry.fields if spec.applies(known) and _has_value(spec, known, stored)]
    config = pruned(build.config, {_placeholder(spec) for spec in used})
    wanted = {found.name for found in placeholders(config)}
    parameters = [spec for spec in used if _placeholder(spec) in wanted]
    if awkward := next((spec.name for spec in parameters if keyword.iskeyword(spec.name)), None):
        raise UsageError(f"the field `{awkward}` cannot be a parameter of a function: Python has that word")
    text = rest_file(entry, source.name, config, parameters)
    arguments = {spec.name: source.block[spec.name] for spec in parameters if spec.name in source.block}
    block: dict[str, Any] = {"source_module": source.name, "source_function": source.name}
    return ({**block, "function_kwargs": arguments} if arguments else block), text


def _has_value(spec: FieldSpec, known: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    return spec.required or known.get(spec.name) not in (None, "", []) or spec.name in stored


def _call(
    entry: Entry, build: Function | Verified, source: Source, stored: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The block of a call, and the secrets under the names by which dlt looks for them."""
    module, function = build.function.split(":") if isinstance(build, Function) else (build.source, build.function)
    known = {**entry.defaults(), **source.block}
    values = {_placeholder(spec): _argument(spec, known.get(spec.name)) for spec in entry.fields if spec.applies(known)}
    values |= {"source": source.name, "resources": list(source.resources or entry.select.default)}
    secrets: dict[str, Any] = {}
    for found in placeholders(build.args):
        name = found.name.removeprefix(SECRETS)
        if found.name.startswith(SECRETS) and name in stored:
            _put(secrets, found.loc, stored[name])
    block: dict[str, Any] = {"source_module": module, "source_function": function}
    arguments = filled(build.args, values)
    return ({**block, "function_kwargs": arguments} if arguments else block), secrets


def _argument(spec: FieldSpec, value: Any) -> Any:
    """A field's value as an argument; a reference to the environment stays one."""
    if value is None or spec.kind not in ("date", "datetime") or str(value).startswith("env:"):
        return value
    return convert(value, "date" if spec.kind == "date" else "iso")


def _put(section: dict[str, Any], loc: tuple[str | int, ...], value: Any) -> None:
    *parents, key = map(str, loc)
    for parent in parents:
        section = section.setdefault(parent, {})
    section[key] = value


def _placeholder(spec: FieldSpec) -> str:
    return f"{SECRETS}{spec.name}" if spec.secret else spec.name


def entry_file(project: Project, source: Source, identity: str | None = None) -> Path:
    """Writes an entry for a source that has none into the project's `registry/`, and returns the file.

    The fields are the function's parameters; what is secret is marked, and what the source gives as an argument now
    is the field's example.

    Raises:
        UsageError: for a source of the registry, a name that no entry can have, and an entry that is there.
    """
    name = identity or source.name
    if not re.fullmatch(ID_PATTERN, name):
        raise UsageError(f"`{name}` is no id of an entry: lower-case letters, digits and `_`, a letter first")
    file = project.root / "registry" / f"{name}.yml"
    require_inside(file, project.root)
    if file.exists():
        raise UsageError(f"registry/{file.name} is there already, and is left as it is", "--id gives another name")
    described = _described(project, source)
    file.parent.mkdir(exist_ok=True)
    replace_text(file, _entry_text(name, described, source))
    return file


def _described(project: Project, source: Source) -> Entry:
    if plugin := project.plugin(source):
        return describe_plugin(project, plugin)
    block = source.dlt_native
    if block is None:
        raise UsageError(f"`{source.name}` is of the registry already: its type is `{source.type}`")
    described = describe(project, block.source_module, block.source_function)
    assert isinstance(described, Entry)
    return described


def _entry_text(name: str, described: Entry, source: Source) -> str:
    assert isinstance(described.build, Function)
    _, given = source.expandable()
    fields = [_field(spec, given.get(spec.name)) for spec in described.fields]
    arguments: dict[str, Any] = {}
    for spec in described.fields:
        _put(arguments, tuple(spec.name.split("__")), f"${{{_placeholder(spec)}}}")
    # What the signature does not name (`**options`) stays as the source has it.
    arguments |= {key: value for key, value in given.items() if key not in arguments}
    entry = {
        "registry": 1,
        "id": name,
        "title": name.replace("_", " ").capitalize(),
        "category": "generic",
        **({"summary": described.summary} if described.summary else {}),
        "maturity": "untested",
        "fields": fields,
        "build": {"kind": "function", "function": described.build.function, "args": arguments},
        **({"select": {"default": list(source.resources)}} if source.resources else {}),
    }
    return "".join(f"{line}\n" for key, value in entry.items() for line in _lines(key, value))


def _lines(key: str, value: Any) -> list[str]:
    first, *rest = yaml_text.below(value, 0, len(key) + 1)
    return [f"{key}:{first}", *rest]


def _field(spec: FieldSpec, given: Any) -> dict[str, Any]:
    said = spec.model_dump(mode="json", exclude_defaults=True)
    example = {} if spec.secret or given is None or str(given).startswith("env:") else {"example": given}
    return {**{key: said[key] for key in ("name", "kind") if key in said}, **said, **example}
