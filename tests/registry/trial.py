"""A project whose one source is of an entry's type, and whose vendor is on loopback."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from dango.registry.entry import Entry, RestApi
from dango.registry.field import FieldSpec
from dango.registry.template import PLACEHOLDER, filled
from tests.registry.declared import Declared, declared, sampled, template_values
from tests.registry.pager import PAGE
from tests.registry.paging_mock import Vendor

SOURCE = "vendor"
GUARD = Path(__file__).parent / "guard"
ELSEWHERE = re.compile(r"^https?://[^/?#]+")


@dataclass(frozen=True)
class Trial:
    """What stands in the project, and what the vendor is asked for."""

    entry: Entry
    values: Mapping[str, Any]
    resources: tuple[Declared, ...]
    files: Mapping[str, str]

    @property
    def secrets(self) -> dict[str, str]:
        """The secret fields with their values."""
        return {field.name: str(self.values[field.name]) for field in self.entry.secrets if field.name in self.values}

    def secrets_file(self, secrets: Mapping[str, str]) -> str:
        """The text of `.dlt/secrets.toml`."""
        return f"[sources.{SOURCE}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in secrets.items())


def trial(entry: Entry, vendor: Vendor, mark: str) -> Trial:
    """The project, and the vendor opened for it. Every secret holds the mark, and characters that URLs escape where
    its field's pattern allows them."""
    values = sampled(entry)
    for field in entry.secrets:
        if field.name in values:
            values[field.name] = planted(field, str(values[field.name]), mark)
    adapted = _on_loopback(entry, values, vendor.url)
    values.update(_addressed(adapted, values, vendor.url))
    resources = tuple(declared(adapted, values))
    vendor.open(resources)
    plain = {name: value for name, value in values.items() if not adapted.field(name).secret}  # type: ignore[union-attr]
    source = {"name": SOURCE, "type": entry.id, "resources": [each.name for each in resources], entry.id: plain}
    made = Trial(adapted, values, resources, {})
    return Trial(
        adapted, values, resources,
        {
            "sources": json.dumps({"version": 1, "sources": [source]}),
            f"registry/{entry.id}.yml": json.dumps(_written(adapted)),
            ".dlt/secrets.toml": made.secrets_file(made.secrets),
        },
    )  # fmt: skip


def planted(field: FieldSpec, sample: str, mark: str) -> str:
    """A secret nobody else has."""
    for made in (f"{sample}+/&{mark}", f"{sample}{mark}", f"{mark}"):
        try:
            return str(field.checked(made))
        except ValueError:
            continue
    return sample


def spellings(secret: str) -> set[str]:
    """How a secret may show: as it is, in a URL, in base64, in JSON."""
    return {
        secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1],
        *(b64encode(b"x" * shift + secret.encode()).decode()[4 if shift else 0 : -4] for shift in range(3)),
    }  # fmt: skip


def leaks(texts: Mapping[str, str], secrets: Iterator[str] | list[str]) -> list[str]:
    """The names of the texts in which a secret shows."""
    spelt = {spelling for secret in secrets for spelling in spellings(secret)}
    return [name for name, text in texts.items() if any(spelling in text for spelling in spelt)]


def kept(root: Path) -> dict[str, str]:
    """Every file that dango wrote in a project, by its path."""
    files = (path for path in (root / ".dango").rglob("*") if path.is_file() and path.name != "sources.yml")
    return {str(path.relative_to(root)): path.read_bytes().decode("utf-8", "replace") for path in files}


def _written(entry: Entry) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude_defaults=True) | {"registry": 1}


def _on_loopback(entry: Entry, values: Mapping[str, Any], url: str) -> Entry:
    """The entry with its addresses on loopback, and pages as small as the vendor's there.

    A `base_url` that is one field's value stays, and the field gets another value. dlt counts offsets by `limit`, not
    by the rows that came. How fast a vendor may be asked is no matter here.
    """
    assert isinstance(entry.build, RestApi)
    known = template_values(entry, values)
    data = entry.model_dump(mode="json", exclude_defaults=True)
    config = data["build"]["config"]
    if not _address_field(entry):
        config["client"]["base_url"] = _moved(filled(config["client"], known)["base_url"], url)
    for block in _blocks(config):
        if isinstance(block.get("path"), str) and "://" in block["path"]:
            block["path"] = ELSEWHERE.sub(url, block["path"])
        for key in ("access_token_url", "token_url"):
            if key in block:
                block[key] = _moved(filled({key: block[key]}, known)[key], url)
        if block.get("type") == "offset":
            block["limit"] = PAGE
    data.get("rate_limit", {}).pop("requests_per_second", None)
    return Entry.model_validate({**data, "registry": 1})


def _moved(address: str, url: str) -> str:
    return url + urlsplit(address).path


def _address_field(entry: Entry) -> FieldSpec | None:
    """The field whose value is the whole `base_url`."""
    assert isinstance(entry.build, RestApi)
    whole = PLACEHOLDER.fullmatch(entry.build.config["client"]["base_url"])
    field = entry.field(whole[1]) if whole else None
    return field if field and not field.options else None


def _addressed(entry: Entry, values: Mapping[str, Any], url: str) -> dict[str, Any]:
    field = _address_field(entry)
    return {field.name: field.checked(_moved(str(values[field.name]), url))} if field else {}


def _blocks(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _blocks(item)
    elif isinstance(value, list):
        for item in value:
            yield from _blocks(item)
