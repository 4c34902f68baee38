"""`docs/GETTING_STARTED.md`, typed into a shell from its first command to its last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guides import DOCS, Shell, blocks, steps

PAGE = DOCS / "GETTING_STARTED.md"


@pytest.mark.slow
def test_every_command_of_the_first_ten_minutes_works(tmp_path: Path, root: Path) -> None:
    shell = Shell(root, tmp_path)
    outputs: dict[str, list[str]] = {}
    # The one file of the page is of the project that its first commands make.
    for line, said in steps(PAGE, root / "shop", shell):
        outputs.setdefault(line.partition("  ")[0], []).append(said.out)
    assert shell.folder == root / "shop"
    assert "344" in outputs["dango sync"][0]
    assert "nothing new" in outputs["dango sync"][1]
    assert "Ada" in outputs['dango query "SELECT id, name, since FROM raw_customers.customers"'][0]
    assert "3" in outputs['dango query "SELECT count(*) FROM raw_customers.customers"'][0].split()
    masked, found = outputs["dango explain orders"][0], outputs["dango explain orders"][1]
    assert "secrets.toml" not in masked and ".dlt/secrets.toml" in found
    assert "a-token-of-mine" not in found
    listed = outputs["git status --short"][0]
    assert ".dango/sources.yml" in listed and "customers/january.csv" in listed
    assert "secrets.toml" not in listed and "warehouse" not in listed


def test_what_is_not_executed_says_why() -> None:
    whys = [block.why for block in blocks(PAGE) if block.why]
    assert whys == ["the test runs in an environment that has dango", "it asks GitHub"]
