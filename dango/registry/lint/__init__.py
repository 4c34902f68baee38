"""What the study of vendors' interfaces found by running, as rules: a trap in an entry is found before anyone falls in.

A rule is a function in a table, named like the function; its docstring says why. Entries are read with their
placeholders in them: no secret is there to be printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from dango.registry.entry import Entry, RestApi
from dango.registry.lint import fields, pages, placeholders, requests, rows
from dango.registry.lint.api import Api
from dango.registry.lint.finding import Finding

__all__ = ["ENTRY_RULES", "REST_RULES", "Finding", "lint"]

ENTRY_RULES: Mapping[str, Callable[[Entry], Iterator[Finding]]] = {
    rule.__name__: rule for rule in (*fields.RULES, *placeholders.RULES)
}
REST_RULES: Mapping[str, Callable[[Api], Iterator[Finding]]] = {
    rule.__name__: rule for rule in (*requests.RULES, *pages.RULES, *rows.RULES)
}


def lint(entry: Entry) -> list[Finding]:
    """Every rule that the entry breaks, each place once."""
    found = [replace(finding, rule=name) for name, rule in ENTRY_RULES.items() for finding in rule(entry)]
    if isinstance(entry.build, RestApi):
        api = Api(entry, entry.build)
        found += [replace(finding, rule=name) for name, rule in REST_RULES.items() for finding in rule(api)]
    return [_masked(finding) for finding in dict.fromkeys(found)]


def _masked(finding: Finding) -> Finding:
    """A token that somebody wrote into the entry is not repeated."""

    def mask(text: str) -> str:
        return re.sub(r"\S{16,}", lambda part: "…" if placeholders.looks_secret(part.group()) else part.group(), text)

    return replace(finding, message=mask(finding.message), hint=mask(finding.hint))
