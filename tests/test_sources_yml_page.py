"""`docs/SOURCES_YML.md` has every key of `sources.yml`, as the model has it. `WRITE_DOCS=1` writes it anew."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dango.config.document import Document
from dango.config.schema import json_schema
from dango.registry.validation import parse
from dango.scaffold import SCHEMA_FILE
from tests.guides import DOCS, blocks

PAGE = DOCS / "SOURCES_YML.md"
SCHEMA = json_schema()
# A section for each block: its title, its model, and where in the file it stands.
SECTIONS = {
    "The file": ("Config", ""),
    "destinations": ("Destination", "destinations.NAME"),
    "sources": ("Source", "sources[]"),
    "defaults": ("Defaults", "defaults"),
    "dlt_native": ("DltNative", "sources[].dlt_native"),
    "resources": ("Resource", "sources[].resources.NAME"),
    "cursor": ("Cursor", "sources[].resources.NAME.cursor"),
    "columns": ("Column", "sources[].resources.NAME.columns.NAME"),
    "split": ("Split", "sources[].resources.NAME.split"),
    "schema_contract": ("Contract", "sources[].schema_contract"),
}
TITLES = {model: title for title, (model, _) in SECTIONS.items()}
HEAD = """# sources.yml

Written by `make docs` from the models in `dango/config/`; do not edit.

`.dango/sources.yml` says what a project syncs. Editors complete and check it by the JSON Schema that `dango init` puts
beside it; `dango check` finds every mistake at once, each with `file:line:column`. Names are lower-case letters, digits
and `_`, a letter first, at most 48.

What is said under `defaults` holds for every source, what a source says goes before it, and what a resource says
before both. A key that is "not yet" has its final type, and is refused by name.

```yaml
version: 1
destination: lake
destinations:
  lake: {type: postgres}             # credentials: .dlt/secrets.toml [destination.lake.credentials]
defaults:
  max_errors: 5%
sources:
  - name: jira_issues                # dataset raw_jira_issues, pipeline jira_issues
    type: dlt_native
    description: Issues of our Jira
    schema_contract: {columns: freeze}
    resources:
      issues:
        table: tickets
        write_disposition: merge
        primary_key: id
        cursor: {field: updated_at, initial: 2024-01-01, lag: 3600}
        columns: {price: {data_type: decimal}}
        processors:
          - cast: {price: decimal}
          - jira_rules:with_team: {default: none}
      users:
    processors: [{mask: [email]}]    # of every resource that has none of its own
    dlt_native:
      source_module: jira
      source_function: jira
      function_kwargs: {subdomain: mycompany, token: env:JIRA_TOKEN}
  - name: gh
    type: github
    enabled: false
    resources: [issues, pulls]
    github: {owner: dlt-hub, repo: dlt, token: env:GITHUB_TOKEN}
  - name: gh_lake                    # as gh, with a dataset and a cursor of its own
    extends: gh
    github: {repo: verified-sources}
```

A source of a registry entry has a block of the entry's name; `dango registry show ID` lists its keys.
"""


def schema_of(model: str) -> dict[str, Any]:
    return SCHEMA if model == "Config" else SCHEMA["$defs"][model]  # type: ignore[no-any-return]


def kinds(schema: dict[str, Any]) -> Iterator[str]:
    """What a value may be, in words; nothing for null."""
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from kinds(each)
    elif "$ref" in schema:
        model = schema["$ref"].rpartition("/")[2]
        yield f"[{TITLES[model]}](#{anchor(TITLES[model])})" if model in TITLES else "mapping"
    elif "enum" in schema:
        yield ", ".join(f"`{each}`" for each in schema["enum"])
    elif schema.get("type") == "array":
        inside = " or ".join(dict.fromkeys(kinds(schema.get("items", {}))))
        yield f"list of {inside}" if inside else "list"
    elif schema.get("type") == "object":
        values = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
        inside = " or ".join(dict.fromkeys(kinds(values))) if isinstance(values, dict) else ""
        yield f"mapping from name to {inside}" if inside else "mapping"
    elif schema.get("type") not in (None, "null"):
        yield {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false"}[
            schema["type"]
        ]


def anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def shown(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def row(name: str, key: dict[str, Any], required: bool) -> str:
    plain = isinstance(key.get("default"), bool | int | str) and key["default"] != ""
    default = "required" if required else shown(key["default"]) if plain else ""
    examples = ", ".join(shown(each) for each in key.get("examples", ()))
    kind = " or ".join(dict.fromkeys(kinds(key))) or "any value"
    return "| " + " | ".join([f"`{name}`", kind, default, key["description"], examples]) + " |\n"


def generated() -> str:
    """The page as the models tell it."""
    parts = [HEAD]
    for title, (model, place) in SECTIONS.items():
        schema = schema_of(model)
        where = f" `{place}`" if place else ""
        parts.append(f"\n## {title}\n\n{schema['description']}{where and f' Stands at{where}.'}\n\n")
        parts.append("| key | what it takes | default | what it says | for example |\n|---|---|---|---|---|\n")
        required = schema.get("required", ())
        # What must be said first.
        keys = sorted(schema["properties"].items(), key=lambda each: each[0] not in required)
        parts += [row(name, key, name in required) for name, key in keys]
    return "".join(parts)


def test_the_reference_of_sources_yml_is_fresh() -> None:
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(generated(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == generated(), "run: make docs"


@pytest.mark.parametrize("model", [model for model, _ in SECTIONS.values()])
def test_every_key_says_what_it_is_for(model: str) -> None:
    for name, key in schema_of(model)["properties"].items():
        assert key.get("description"), f"{model}.{name}"


def test_no_block_of_the_file_is_left_out() -> None:
    assert set(TITLES) == {"Config", *SCHEMA["$defs"]} - {"Environment"}, "Environment is not yet"


def test_the_example_is_valid_and_has_every_block() -> None:
    (example,) = [block.text for block in blocks(PAGE) if block.language == "yaml"]
    config = parse(Document(PAGE, PAGE.name, example), ["dlt_native", "github"])
    assert [source.name for source in config.sources] == ["jira_issues", "gh", "gh_lake"]
    assert all(
        f"{name}:" in example
        for name in ("destinations", "defaults", "resources", "cursor", "schema_contract", "processors")
    )
    assert json.dumps(yaml.safe_load(example)["sources"][0]["resources"]["users"]) == "null"


def test_the_schema_of_this_roots_own_project_is_fresh() -> None:
    file = DOCS.parent / SCHEMA_FILE
    if os.environ.get("WRITE_DOCS"):
        file.write_text(json.dumps(SCHEMA, indent=1) + "\n", encoding="utf-8")
    assert json.loads(file.read_text(encoding="utf-8")) == SCHEMA, "run: make docs"
