"""How a source of an entry stands in a project: its block in `sources.yml`, and its section of `secrets.toml`."""

from __future__ import annotations

from typing import Any

import tomlkit

from dango.config.text.yaml_text import item
from dango.registry.entry import Entry, strings
from dango.registry.field import FieldSpec

LIVE = {
    "orders": {"write_disposition": "merge", "primary_key": "id", "cursor": {"field": "updated_at"}},
    "customers": {"write_disposition": "replace"},
}
"""Of a source whose tables nobody knows beforehand."""
ENVIRONMENT = "${environment}"


def blocks(entry: Entry) -> tuple[str, str]:
    """The text of `sources.yml`, and that of `secrets.toml`; the latter is empty where nothing is secret."""
    values = _values(entry)
    secrets = {spec.name: values.pop(spec.name) for spec in entry.secrets if spec.name in values}
    source: dict[str, Any] = {"name": entry.id, "type": entry.id}
    if entry.select.live:
        # Where the entry says nothing of how a table is loaded, its source knows what is new.
        source["resources"] = LIVE if entry.select.hints else list(LIVE)
    if needs_environment(entry):
        source["environment"] = {"requirements": ["PACKAGE"]}
    if values:
        source[entry.id] = values
    sources = "\n".join(["version: 1", "sources:", *item(source, 2), ""])
    return sources, tomlkit.dumps({"sources": {entry.id: secrets}}) if secrets else ""


def needs_environment(entry: Entry) -> bool:
    """Whether it runs a program of the source's own environment."""
    return any(text == ENVIRONMENT for _, text in strings(getattr(entry.build, "args", {})))


def _values(entry: Entry) -> dict[str, Any]:
    """What has to be said, and every secret that most people have."""
    either = {name for group in entry.groups[:1] for name in group}
    values: dict[str, Any] = {}
    said = entry.defaults()
    for spec in entry.fields:
        is_usual = spec.required or spec.name in either or (spec.secret and not spec.advanced)
        if is_usual and spec.applies(said | values) and (spec.default is None or spec.secret):
            values[spec.name] = _example(spec, entry.verify.sample.get(spec.name))
    return values


def _example(spec: FieldSpec, sample: Any) -> Any:
    choices = (spec.example, sample, *spec.options[:1])
    return next((choice for choice in choices if choice is not None), "..." if spec.secret else f"my-{spec.name}")
