"""The distributions installed in the running Python, as packaging metadata describes them."""

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import Any

import dlt
from dlt.sources import DltResource
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


@dlt.source
def installed_packages() -> DltResource:
    """Every installed distribution with its requirements; a load without changes loads nothing."""
    return packages


# Not `replace`: dlt empties such a table when nothing is yielded, and unchanged means to yield nothing.
@dlt.resource(
    write_disposition="merge",
    primary_key="name",
    columns={
        "license": {"data_type": "text"},
        "summary": {"data_type": "text"},
        "requires_python": {"data_type": "text"},
        "home_page": {"data_type": "text"},
        "uninstalled": {"data_type": "bool", "hard_delete": True},
    },
    nested_hints={
        "requirements": dlt.mark.make_nested_hints(
            columns={
                "requirement": {"data_type": "text"},
                "name": {"data_type": "text"},
                "extras": {"data_type": "text"},
                "specifier": {"data_type": "text"},
                "marker": {"data_type": "text"},
            }
        )
    },
)
def packages() -> Iterator[dict[str, Any]]:
    """Distributions that are new or changed since the last load, and a deletion for each that is gone.

    Names are in their normal form (`typing-extensions`), in requirements too, so that both join.
    """
    state = dlt.current.resource_state()
    before: dict[str, str] = state.get("fingerprints", {})
    now: dict[str, str] = {}
    for row in _installed():
        name = row["name"]
        now[name] = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]
        if now[name] != before.get(name):
            yield row
    for name in before.keys() - now.keys():
        yield {"name": name, "uninstalled": True}
    if now != before:
        state["fingerprints"] = now


def _installed() -> Iterator[dict[str, Any]]:
    """One row a distribution: of two with one name, the first, as it is the one that gets imported."""
    seen = set()
    for distribution in distributions():
        try:
            row = _row(distribution)
        except (OSError, ValueError):
            # An unreadable file or one that is not UTF-8, as a broken-off installation leaves behind.
            continue
        if row is not None and row["name"] not in seen:
            seen.add(row["name"])
            yield row


def _row(distribution: Distribution) -> dict[str, Any] | None:
    """What is loaded of a distribution; None without a name and a version, which pip leaves out too."""
    # As a dictionary of lists: asking a message for a missing header differs between Python versions.
    headers: dict[str, list[str]] = {}
    metadata = distribution.metadata
    for header in set(metadata):
        headers[header.lower()] = [str(value) for value in metadata.get_all(header) or []]

    def first(header: str) -> str | None:
        value = headers.get(header, [""])[0].strip()
        # Old build tools wrote UNKNOWN for what the author had left out.
        return value if value and value != "UNKNOWN" else None

    name, version = first("name"), first("version")
    if name is None or version is None:
        return None
    return {
        "name": canonicalize_name(name),
        "version": version,
        "license": _license(first("license-expression"), first("license"), headers.get("classifier", [])),
        "summary": first("summary"),
        "requires_python": first("requires-python"),
        "home_page": first("home-page") or _home_page(headers.get("project-url", [])),
        "requirements": [_requirement(text) for text in distribution.requires or []],
    }


def _license(expression: str | None, text: str | None, classifiers: list[str]) -> str | None:
    """The licence's name. Many put the whole licence into the field `License`: that is no name."""
    if expression:
        return expression
    if text and len(text) <= 80 and "\n" not in text:
        return text
    names = [classifier.rpartition(" :: ")[2] for classifier in classifiers if classifier.startswith("License :: ")]
    return ", ".join(names) or None


def _home_page(project_urls: list[str]) -> str | None:
    for entry in project_urls:
        label, _, url = entry.partition(",")
        if label.strip().lower().replace("-", "").replace(" ", "") in {"homepage", "home"}:
            return url.strip()
    return None


def _requirement(text: str) -> dict[str, str | None]:
    """The parts of a requirement; of one that predates the standard, the text alone."""
    try:
        parsed = Requirement(text)
    except InvalidRequirement:
        return {"requirement": text}
    return {
        "requirement": text,
        "name": canonicalize_name(parsed.name),
        "extras": ", ".join(sorted(parsed.extras)) or None,
        "specifier": str(parsed.specifier) or None,
        "marker": str(parsed.marker) if parsed.marker else None,
    }
