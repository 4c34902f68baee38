"""`docs/COMING_OVER.md` has every rule of `dango import` and does what it says. `WRITE_DOCS=1` writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dango.imports import formats
from tests.conftest import Said
from tests.guides import DOCS, Shell, blocks, steps

PAGE = DOCS / "COMING_OVER.md"
_RULES = re.compile(r"(<!-- rules: (\w+) -->\n).*?(<!-- end -->)", re.S)


def rules(kind: str) -> str:
    """What a format's rules say, in Markdown."""
    said = formats.FORMATS[kind].rules
    rows = "".join(f"| `{key}` | {what} | {do} |\n" for key, (what, do) in said.left.items())
    ignored: dict[str, list[str]] = {}
    for key, why in said.ignored.items():
        ignored.setdefault(why, []).append(f"`{key}`")
    nothing = "".join(f"- {', '.join(keys)}: {why}\n" for why, keys in ignored.items())
    return f"\nNamed, with what to do:\n\n| key | what is told | what to do |\n|---|---|---|\n{rows}\n" + (
        f"Without meaning here, and not named:\n\n{nothing}\n" if nothing else ""
    )


def test_the_page_has_every_rule() -> None:
    text = PAGE.read_text(encoding="utf-8")
    fresh = _RULES.sub(lambda found: f"{found[1]}{rules(found[2])}{found[3]}", text)
    assert {kind for _, kind, _ in _RULES.findall(text)} == set(formats.FORMATS)
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(fresh, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == fresh, "run: make docs"


@pytest.mark.slow
def test_every_block_of_the_page_does_what_it_says(tmp_path: Path, root: Path) -> None:
    shell = Shell(root, tmp_path)
    assert shell("dango init --no-example --yes").code == 0
    said: dict[str, Said] = dict(steps(PAGE, root, shell))
    (shown,) = (block.text for block in blocks(PAGE) if block.language == "text")
    told = [line.rstrip() for line in said["dango import meltano.yml"].out.splitlines()]
    assert told == shown.splitlines()
    assert "3" in said["dango query 'SELECT count(*) FROM raw_tap_shop.orders'"].out.split()
