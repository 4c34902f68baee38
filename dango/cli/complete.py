"""What the shell offers behind a command: the project's own names, read from its files and nothing else.

A shell waits for it at every key, and shows nobody an error: what cannot be read offers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from dango.errors import DangoError

if TYPE_CHECKING:
    from dango.project import Project


def sources(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the project's sources that are not on the line yet."""
    given = ctx.params.get("names") or ()
    return _offered(ctx, incomplete, lambda project: (n for n in map(_name, _sources(project)) if n not in given))


def resources(ctx: typer.Context, incomplete: str) -> list[str]:
    """The resources of the sources on the line, as far as `sources.yml` and the registry name them."""
    return _offered(ctx, incomplete, lambda project: _resources(project, _on_the_line(ctx)))


def destinations(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the project's destinations."""
    return _offered(ctx, incomplete, _destinations)


def stopped_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """The runs that can be gone on with."""
    from dango.parts import unfinished

    return _offered(ctx, incomplete, lambda project: (plan.run for plan in unfinished(project.state)))


def types(ctx: typer.Context, incomplete: str) -> list[str]:
    """What a source can be: the ids of the registry, the sources of packages, and `dlt_native`."""
    from dango.project import NATIVE

    return _offered(ctx, incomplete, lambda project: (NATIVE, *project.registry.types))


def entries(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the registry."""
    from dango.registry.entries import Registry

    found = _offered(ctx, incomplete, lambda project: project.registry.ids)
    return found or [identity for identity in Registry().ids if identity.startswith(incomplete)]


def pages(ctx: typer.Context, incomplete: str) -> list[str]:
    """The pages of the documentation, the kinds of errors, and the ids of the registry."""
    from dango import documentation

    known = (*documentation.pages(), *documentation.sections())
    return [*(name for name in known if name.startswith(incomplete)), *entries(ctx, incomplete)]


def _offered(ctx: typer.Context, incomplete: str, names: Callable[[Project], Iterable[str]]) -> list[str]:
    from dango.project import Project

    folder = ctx.find_root().params.get("project")
    try:
        project = Project.at(folder) if folder else Project.find()
        return [name for name in dict.fromkeys(names(project)) if name.startswith(incomplete)]
    except (DangoError, OSError):
        return []


def _sources(project: Project) -> list[Mapping[str, Any]]:
    """The blocks of `sources.yml` as they are written: one that is wrong hides no other."""
    listed = project.document.data.get("sources")
    blocks = listed if isinstance(listed, list) else []
    return [block for block in blocks if isinstance(block, Mapping) and isinstance(block.get("name"), str)]


def _name(block: Mapping[str, Any]) -> str:
    return str(block["name"])


def _on_the_line(ctx: typer.Context) -> set[str]:
    # Words that the parser left where they are, for want of the value that is to be completed.
    named = {*ctx.args}
    for key in ("names", "source", "name"):
        value = ctx.params.get(key) or ()
        named.update([value] if isinstance(value, str) else value)
    return named


def _resources(project: Project, named: set[str]) -> Iterator[str]:
    blocks = _sources(project)
    for block in [block for block in blocks if _name(block) in named] or blocks:
        configured = block.get("resources")
        yield from (
            name for name in (configured if isinstance(configured, list | dict) else ()) if isinstance(name, str)
        )
        kind = block.get("type")
        if isinstance(kind, str) and kind in project.registry.ids:
            yield from project.registry.entry(kind).resources


def _destinations(project: Project) -> list[str]:
    from dango.config.models import EMBEDDED

    written = project.document.data.get("destinations")
    return [EMBEDDED, *(str(name) for name in (written if isinstance(written, Mapping) else ()))]
