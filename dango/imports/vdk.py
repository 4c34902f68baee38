"""A `config.toml` of VDK's data sources: sources, destinations, and which flows to which."""

from __future__ import annotations

from typing import Any

from dango.imports import destinations
from dango.imports.found import Found
from dango.imports.ledger import Part, Rules
from dango.imports.settings import Reading

RULES = Rules(
    ignored={},
    left={
        "flows.*.map_function": ("payloads are not mapped", "`processors: [module:function]` of the source"),
    },
)

_OLD_SETUPTOOLS = "setuptools<80"
_PACKAGES = {
    "auto-generated-data": "",
    "confluence-data-source": "vdk-confluence-data-source",
    "git": "vdk-data-source-git",
    "singer-tap": "vdk-singer",
}
"""Which package brings a data source besides vdk-data-sources."""


def read(root: Part, found: Found) -> None:
    """Every source of the file. Raises `ConfigError` where one has no name, or a flow leads nowhere."""
    flows = _flows(root)
    names = {was: _target(root.part("destinations").part(was), was, found) for was in root.part("destinations").value}
    for was in root.part("sources").value:
        _source(root.part("sources").part(was), was, [names[to] for to in flows.get(was, ())], found)


def _flows(root: Part) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for flow in root.parts("flows"):
        ends = [("from", "sources"), ("to", "destinations")]
        for key, among in ends:
            if flow.needed(key) not in root.part(among).value:
                raise root.ledger.wrong(flow.at(key), f"names none of `{among}`")
        made.setdefault(flow.text("from"), []).append(flow.text("to"))
    return made


def _target(part: Part, was: str, found: Found) -> str:
    """The name of the destination here; empty where dango has none of the kind."""
    method = part.needed("method").lower()
    if method == "duckdb":
        return destinations.duckdb(part, was, part.text("target"), found)
    if method == "postgres":
        if "target" in part.value:
            part.note("target", "which database it is, VDK is told otherwise", "say it with how to connect")
        return destinations.postgres(part, was, {}, Reading(part.ledger, was), found)
    part.refuse(f"dango has no destination for the method `{method}`", destinations.advice(method, was))
    return ""


def _source(part: Part, was: str, targets: list[str], found: Found) -> None:
    kind = part.needed("name")
    name = found.name(was)
    config = Reading(part.ledger, name, variables=False).settings(part, "config")
    if kind not in _PACKAGES:
        what = f"which package brings `{kind}` is not said here"
        part.ledger.note(part.at("name"), what, "add it to `environment: requirements:`, or name a class by its path")
    packages = ["vdk-data-sources", _PACKAGES.get(kind, ""), _OLD_SETUPTOOLS]
    item: dict[str, Any] = {
        "name": name,
        "type": "vdk",
        "destination": destinations.chosen(part, targets),
        "environment": {
            "requirements": [each for each in packages if each],
            "build_constraints": [_OLD_SETUPTOOLS],
        },
        "vdk": {"connector": kind, **({"config": config.plain} if config.plain else {})},
    }
    found.add(part, was, item, {"secrets": config.secrets} if config.secrets else {}, f"sources.{was}")
