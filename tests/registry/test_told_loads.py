"""What entries tell of how a function loads its resources is what the function does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from dlt.extract import DltResource
from dlt.extract.incremental import Incremental

from dango.project import Project
from dango.registry.entry import Entry
from dango.registry.example import blocks
from dango.registry.loading import loadings
from dango.sources.resolve import build, resolve
from tests.registry.shipped import FILES, entry_of

TOLD = [entry for entry in map(entry_of, FILES) if entry.loads]


@pytest.mark.parametrize("entry", TOLD, ids=lambda entry: entry.id)
def test_what_an_entry_tells_of_loads_its_source_does(
    entry: Entry, root: Path, write: Callable[[Mapping[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, _ = blocks(entry)
    write({"sources": sources})
    for spec in entry.secrets:
        monkeypatch.setenv(f"SOURCES__{entry.id}__{spec.name}".upper(), "x")
    project = Project(root)
    job = project.job(project.source(entry.id))
    made = build(resolve(job), job).resources
    assert set(made) == {each.name for each in loadings(entry)}
    for each in loadings(entry):
        table = made[each.name].compute_table_schema()
        assert table["write_disposition"] == each.write
        assert _marked(table, "primary_key") == each.key
        assert _marked(table, "merge_key") == ((each.replaces,) if each.replaces else ())
        cursor = _cursor(made[each.name])
        # One that keeps positions of its own in the state has none that dlt knows of.
        assert cursor == each.cursor or ((cursor is None and entry.id in ("imap", "rss")) or not each.cursor)


def _marked(table: Mapping[str, object], mark: str) -> tuple[str, ...]:
    columns: Mapping[str, Mapping[str, object]] = table["columns"]  # type: ignore[assignment]
    return tuple(name for name, column in columns.items() if column.get(mark))


def _cursor(resource: DltResource) -> str | None:
    """The cursor that stands in the function's signature."""
    parameters = inspect.signature(resource._pipe.gen).parameters.values()  # type: ignore[arg-type]
    found = [each.default for each in parameters if isinstance(each.default, Incremental)]
    return found[0].cursor_path if found else None
