"""The pages of the documentation: those that dango carries with it, and one for each entry of the registry."""

from __future__ import annotations

import re

from dango.errors import DOCS, UsageError, near
from dango.registry.entries import Registry
from dango.registry.page import page
from dango.resources import shipped


class PageNotFound(UsageError):
    """No page of the documentation, no kind of error and no source has that name."""


def pages() -> dict[str, str]:
    """The pages by name (`reliability`), as Markdown."""
    return {file.stem.lower(): file.read_text(encoding="utf-8") for file in sorted(shipped("docs").glob("*.md"))}


def sections() -> dict[str, str]:
    """What the page of errors says of each kind (`missing-secret`), as Markdown."""
    errors = pages()[DOCS.rpartition("/")[2].removesuffix(".md").lower()]
    return {
        _anchor(heading): whole for whole, heading in re.findall(r"^(## (.+?)\n.*?)(?=^## |\Z)", errors, re.M | re.S)
    }


def lookup(name: str, registry: Registry) -> str:
    """A page, a section or an entry by its name, whatever its case; as Markdown.

    Raises:
        PageNotFound: there is none.
        ConfigError: it is an entry, and broken.
    """
    known, wanted = pages() | sections(), _anchor(name)
    if wanted in known:
        return known[wanted]
    if wanted in registry.ids:
        return page(registry.entry(wanted))
    message = f"there is no page, no kind of error and no source `{name}`{near(wanted, (*known, *registry.ids))}"
    raise PageNotFound(message, "dango docs lists them")


def _anchor(heading: str) -> str:
    return heading.strip().lower().replace(" ", "-")
