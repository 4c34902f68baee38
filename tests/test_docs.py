"""The documentation says what is so. `WRITE_DOCS=1` writes the generated part anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import typer

from dango.cli import app
from dango.config import Config
from dango.document import Document
from dango.validation import parse

ROOT = Path(__file__).parent.parent
COMMANDS = ROOT / "docs" / "COMMANDS.md"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: object, path: str = "dango") -> dict[str, object]:
    """Every command by its whole name."""
    found: dict[str, object] = {}
    for name, command in getattr(group, "commands", {}).items():
        found[f"{path} {name}"] = command
        found |= commands(command, f"{path} {name}")
    return found


ALL = commands(typer.main.get_command(app))


def generated() -> str:
    """`docs/COMMANDS.md` as the commands themselves tell it."""
    parts = ["# Commands\n\nWritten by `make docs` from the commands' own help; do not edit.\n"]
    for name, command in sorted(ALL.items()):
        parts.append(f"\n## {name}\n\n{command.help or ''}\n")  # type: ignore[attr-defined]
        for parameter in command.params:  # type: ignore[attr-defined]
            names = "|".join(n for n in (*parameter.opts, *parameter.secondary_opts))
            shown = names if names.startswith("-") else parameter.name.upper()
            if getattr(parameter, "help", None) and shown != "--help":
                parts.append(f"\n- `{shown}` {parameter.help}")
        parts.append("\n")
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).rstrip() + "\n"


def test_the_list_of_commands_is_fresh() -> None:
    if os.environ.get("WRITE_DOCS"):
        COMMANDS.write_text(generated(), encoding="utf-8")
    assert COMMANDS.read_text(encoding="utf-8") == generated(), "run: make docs"


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_and_stands_in_the_readme(name: str) -> None:
    assert ALL[name].help  # type: ignore[attr-defined]
    first, *rest = name.removeprefix("dango ").split()
    assert f"dango {first}" in README
    assert all(word in README for word in rest)


def test_the_example_of_sources_yml_in_the_readme_is_valid() -> None:
    whole = next(text for text in re.findall(r"```yaml\n(.*?)```", README, re.S) if text.startswith("version"))
    config = parse(Document(ROOT / "README.md", "README.md", whole), ["dlt_native"])
    assert [source.name for source in config.sources] == ["jira_issues"]
    assert set(Config.model_fields) <= set(re.findall(r"^(\w+):", whole, re.M))


def test_the_first_session_of_the_readme_works(dango, write, rows, root) -> None:  # type: ignore[no-untyped-def]
    assert dango("init", ".", "--yes", "--no-example").code == 0
    source = re.search(r"```python\n(import dlt.*?)```", README, re.S)
    block = re.search(r"```yaml\n(sources:.*?)```", README, re.S)
    assert source and block
    write({"custom_sources/orders.py": source.group(1), "sources": block.group(1)})
    key = {"ORDERS_KEY": "a-key-of-mine"}
    assert dango("check", env=key).code == 0
    assert dango("sync", "orders", env=key).code == 0
    assert rows('select count(*) from raw_orders."order"') == [(5,)]
    assert rows("select count(*) from raw_orders.order__lines") == [(5,)]


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{page.name}: {target}"
