"""`docs/sources/` has a page for each shipped entry, and an index. `WRITE_DOCS=1` writes them anew."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import pytest

from dango.registry.entries import Registry
from dango.registry.entry import Entry, Verified
from dango.registry.loading import loadings
from dango.registry.page import page, table
from tests.conftest import Said
from tests.guides import DOCS, blocks

FOLDER = DOCS / "sources"
INDEX = "README.md"
STATUS = "STATUS.md"
REGISTRY = Registry()
ENTRIES = [REGISTRY.entry(identity) for identity in REGISTRY.ids]
CATEGORIES = {"crm": "CRM", "people": "People and hiring", "database": "Databases", "generic": "Anything else"}
CHECKED = {
    "spec_checked": "the vendor's description", "mock_run": "a server like it", "live_run": "the real thing",
    "vendored": "not here", "untested": "nothing yet",
}  # fmt: skip
HEAD = """# Sources

Written by `make docs` from the entries in `registry/`; do not edit.

{count} sources come with dango. The page of each says how to get in, what it loads, and how far it is tested;
`dango docs NAME` shows it offline, and the pages of your own entries, too. What is not here is loaded all the same: by
the entries for [any REST API](rest_api.md), [GraphQL](graphql.md), [files](files.md) and [any database](sql.md), by
[connectors of other frameworks](../CONNECTORS.md), by [any dlt source](../REGISTRY_BYPASS.md), or by
[a function of your own](../../custom_sources/README.md).

APIs are asked no faster than the page says. Where one answers with 429 or an error of the server, it is asked again
after as long as it says, otherwise after pauses that grow.

*Tables*: how many are known beforehand; "live" where that depends on what is there. *New*: of how many a sync reads
only what is new. *Tested against*: how far an entry was tried; `make registry` runs [every check of it](STATUS.md).
"""


def index() -> str:
    """All entries by category, as they tell it themselves."""
    parts = [HEAD.format(count=len(ENTRIES))]
    by_category = sorted(
        ENTRIES, key=lambda entry: (entry.category == "generic", title(entry.category), entry.title.lower())
    )
    for category, entries in groupby(by_category, key=lambda entry: entry.category):
        header = ("source", "what it loads", "tables", "new", "tested against")
        parts.append(f"\n## {title(category)}\n\n{table(header, map(row, entries))}\n")
    return "".join(parts)


def title(category: str) -> str:
    return CATEGORIES.get(category, category.capitalize())


def row(entry: Entry) -> tuple[str, ...]:
    known = loadings(entry)
    also = f" *Also: {', '.join(entry.aliases)}*" if entry.aliases else ""
    new = sum(bool(each.cursor) for each in known)
    return (
        f"[{entry.title}]({entry.id}.md)",
        f"{entry.summary}.{also}",
        str(len(known)) if known else "live",
        str(new) if any(each.write for each in known) else "–",
        CHECKED[entry.maturity],
    )


def generated() -> Iterator[tuple[Path, str]]:
    yield FOLDER / INDEX, index()
    for entry in ENTRIES:
        yield FOLDER / f"{entry.id}.md", page(entry)


def test_the_pages_of_the_sources_are_fresh() -> None:
    wanted = dict(generated())
    if os.environ.get("WRITE_DOCS"):
        FOLDER.mkdir(exist_ok=True)
        for file in {*FOLDER.glob("*.md")} - {*wanted, FOLDER / STATUS}:
            file.unlink()
        for file, text in wanted.items():
            file.write_text(text, encoding="utf-8")
    assert {file.name for file in FOLDER.glob("*.md")} == {*(file.name for file in wanted), STATUS}, "run: make docs"
    stale = [file.name for file, text in wanted.items() if file.read_text(encoding="utf-8") != text]
    assert stale == [], "run: make docs"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_page_has_no_part_that_says_nothing(entry: Entry) -> None:
    lines = page(entry).splitlines()
    assert not any("`None`" in line or "``" in line.replace("```", "") for line in lines)
    headings = [number for number, line in enumerate(lines) if line.startswith("## ")]
    assert all(not following.startswith("#") for number in headings for following in lines[number + 1 : number + 3])
    assert all(cell.strip() for line in lines if line.startswith("| `") for cell in line.split("|")[1:3])


@pytest.mark.slow
def test_the_example_of_every_page_is_a_source_that_is_well(
    write: Callable[[Mapping[str, str]], None], dango: Callable[..., Said]
) -> None:
    examples: dict[str, str] = {"sources": "version: 1\nsources:\n", ".dlt/secrets.toml": ""}
    for entry in ENTRIES:
        for block in blocks(FOLDER / f"{entry.id}.md"):
            if block.file == ".dango/sources.yml":
                examples["sources"] += block.text.partition("sources:\n")[2]
            elif block.file:
                examples[block.file] += block.text
    write(examples)
    # The code of these is not there before it is fetched, as their pages say; nor are drivers.
    fetched = {entry.id for entry in ENTRIES if isinstance(entry.build, Verified)}
    found = [
        problem
        for problem in dango("check", "--json").json["problems"]
        if not re.match(r"`\w+` needs packages that are not installed: ", problem["message"])
    ]
    assert {problem["hint"].rpartition(" ")[2] for problem in found} == fetched, found
    assert {problem["severity"] for problem in found} == {"error"} and len(found) == len(fetched)


def test_a_page_is_read_offline_of_shipped_entries_and_of_the_projects_own(
    write: Callable[[Mapping[str, str]], None], dango: Callable[..., Said]
) -> None:
    shipped = REGISTRY.document("mollie").path.read_text(encoding="utf-8")
    own = shipped.replace("id: mollie", "id: own").replace("title: Mollie", "title: Our Mollie")
    write({"sources": "sources: []\n", "registry/own.yml": own})
    assert dango("docs", "mollie").out.strip() == (FOLDER / "mollie.md").read_text(encoding="utf-8").strip()
    assert dango("docs", "own").out.startswith("# Our Mollie\n")
    assert dango("docs", "Own", "--json").json["markdown"].startswith("# Our Mollie\n")
    write({"registry/own.yml": own.replace("title:", "titel:")})
    said = dango("docs", "own")
    assert said.code == 2 and "unknown key `titel`" in said.err
