"""What a source is to be: its type, and of `dlt_native` its module and function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import NoReturn

from dango import adding
from dango.answers import of_present
from dango.cli import ask
from dango.config.models import Source
from dango.errors import UsageError
from dango.project import NATIVE, Project
from dango.question import NAME, Choice, free_name
from dango.registry.entry import Entry, Verified
from dango.secret_store import secrets_of
from dango.secrets import SECRETS_FILE
from dango.specification import unasked
from dango.wizard import Subject


def pick(project: Project) -> str:
    """The type that a person chooses, by its title, alias or category. Raises `KeyboardInterrupt` on Ctrl-C."""
    any_source = Choice(NATIVE, "Any other dlt source  (dlt_native: custom_sources/, dlt's own, any package)")
    entries = sorted(
        (listed.entry for listed in project.registry if listed.entry), key=lambda entry: entry.title.lower()
    )
    choices = [Choice(entry.id, _shown(entry)) for entry in entries]
    plugins = [Choice(name, f"{name}  {plugin.origin}") for name, plugin in project.registry.sources.items()]
    return str(ask.one_of("Which source? (type to search)", [*choices, *plugins, any_source]))


def subject(project: Project, kind: str, module: str | None, function: str | None, *, attended: bool) -> Subject:
    """What the questions about a new source are about.

    Raises:
        UsageError: for an unknown type, or a `dlt_native` without a module or function where nobody can be asked.
        KeyboardInterrupt: on Ctrl-C.
    """
    names = tuple(source.name for source in project.config.sources)
    if kind == NATIVE:
        entry = _native(project, module, function, attended)
        return Subject(entry, names, {NAME: free_name(entry.title.rpartition(".")[2], names)})
    if module or function:
        raise UsageError(f"--module and --function are for {NATIVE}, not for `{kind}`")
    if plugin := project.registry.sources.get(kind):
        return Subject(adding.describe_plugin(project, plugin), names, plugin=True)
    return Subject(unasked(_registered(project, kind)), names)


def present(project: Project, source: Source) -> Subject:
    """A source as it is, with its answers offered again. Raises `UsageError` for one that extends another."""
    if source.extends:
        raise UsageError(
            f"`{source.name}` extends `{source.extends}`, and says itself only what is otherwise there",
            f"change it in {project.place(source.name)}, or: dango source edit {source.extends}",
        )
    item = project.document.data["sources"][project.index(source.name)]
    entry, plugin = project.entry(source), project.plugin(source)
    if plugin:
        entry = adding.describe_plugin(project, plugin)
    elif source.dlt_native:
        entry = _described(project, source.dlt_native.source_module, source.dlt_native.source_function)
    assert entry is not None
    entry = unasked(entry)
    section = secrets_of(project.root / SECRETS_FILE, ("sources", source.name))
    return of_present(entry, item, section, plugin=plugin is not None)


def _shown(entry: Entry) -> str:
    aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
    return f"{entry.title}{aliases}  {entry.category}"


def _registered(project: Project, kind: str) -> Entry:
    registry = project.registry
    named = [listed.id for listed in registry if listed.entry and kind in listed.entry.aliases]
    entry = registry.entry(kind if kind in registry.ids or len(named) != 1 else named[0])
    if isinstance(entry.build, Verified) and not (project.custom_sources / entry.build.source).is_dir():
        raise UsageError(
            f"the code of `{entry.id}` is one of dlt's verified sources, which is copied into the project",
            f"dango source fetch {entry.build.source}",
        )
    return entry


def _native(project: Project, module: str | None, function: str | None, attended: bool) -> Entry:
    if module is None:
        files = adding.custom_files(project)
        if not (attended and files):
            _needs("--module", "the module of the source: a file of custom_sources/, one of dlt's, any package", files)
        module = str(ask.one_of("Which file of custom_sources/?", [Choice(name, name) for name in files]))
    module = _module_of(module)
    if function is None:
        offered = adding.describe(project, module, "")
        assert isinstance(offered, list)
        if len(offered) != 1 and not (attended and offered):
            _needs("--function", f"which function of `{module}`", offered)
        function = offered[0] if len(offered) == 1 else str(ask.one_of("Which one?", [Choice(o, o) for o in offered]))
    return _described(project, module, function)


def _described(project: Project, module: str, function: str) -> Entry:
    entry = adding.describe(project, module, function)
    assert isinstance(entry, Entry)
    return entry


def _needs(option: str, what: str, offered: Sequence[str]) -> NoReturn:
    raise UsageError(f"{NATIVE} needs {option}: {what}", f"there is: {', '.join(offered)}" if offered else "")


def _module_of(written: str) -> str:
    """`custom_sources/shop.py` as the module that it is."""
    if not written.endswith(".py"):
        return written.removeprefix("custom_sources.")
    parts = PurePath(written).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "custom_sources" else parts)
