"""The pages of the documentation, which dango carries with it."""

from __future__ import annotations

import re

from dango.errors import DOCS, UsageError, near
from dango.resources import shipped


class PageNotFound(UsageError):
    """No page of the documentation, and no kind of error, has that name."""


def pages() -> dict[str, str]:
    """The pages by name (`reliability`), as Markdown."""
    return {file.stem.lower(): file.read_text(encoding="utf-8") for file in sorted(shipped("docs").glob("*.md"))}


def sections() -> dict[str, str]:
    """What the page of errors says of each kind (`missing-secret`), as Markdown."""
    page = pages()[DOCS.rpartition("/")[2].removesuffix(".md").lower()]
    return {_anchor(heading): whole for whole, heading in re.findall(r"^(## (.+?)\n.*?)(?=^## |\Z)", page, re.M | re.S)}


def lookup(name: str) -> str:
    """A page or a section by its name, whatever its case; as Markdown.

    Raises:
        PageNotFound: there is none.
    """
    known = pages() | sections()
    try:
        return known[_anchor(name)]
    except KeyError:
        message = f"there is no page and no kind of error `{name}`{near(_anchor(name), known)}"
        raise PageNotFound(message, "dango docs lists them") from None


def _anchor(heading: str) -> str:
    return heading.strip().lower().replace(" ", "-")
