"""Meltano's plugins, each with those that it inherits from."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from dango.imports.ledger import Part

_WITH_VALUE = (
    *("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-r", "--requirement", "-c", "--constraint"),
    *("--trusted-host", "--no-binary", "--only-binary", "--config-settings"),
)
"""Options of pip whose value is the next word."""
_SIGNED_IN = re.compile(r"https?://[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin of the file.

    Attributes:
        name: its name.
        part: where it stands.
        above: those that it inherits from, as far as they stand in the file, the farthest first.
    """

    name: str
    part: Part
    above: tuple[Plugin, ...] = ()

    @property
    def lineage(self) -> tuple[Plugin, ...]:
        """Those that it inherits from, and itself."""
        return (*self.above, self)

    @property
    def base(self) -> str:
        """What it is in the end: the name that Meltano's hub knows."""
        first = self.lineage[0]
        return str(first.part.value.get("inherit_from") or first.name)

    def said(self, key: str) -> str:
        """A text that it, or what it inherits from, says."""
        return next((text for each in reversed(self.lineage) if (text := each.part.text(key))), "")

    @property
    def program(self) -> str:
        """The program that it is, from the project's folder where it is a file."""
        for each in self.lineage:
            each.part.take("inherit_from")
        return self.part.ledger.given.moved(self.said("executable") or self.base)

    def requirements(self) -> tuple[list[str], bool]:
        """What has to be installed, and whether a part of it is fetched from an address."""
        owner = next((each.part for each in reversed(self.lineage) if each.part.value.get("pip_url")), self.part)
        written = self.said("pip_url")
        variant = str(self.part.value.get("variant") or "")
        if not written:
            by = f" (variant {variant})" if variant else ""
            if "/" not in self.said("executable"):
                what = f"the file does not say which package brings {self.base}{by}"
                do = f"`environment: {{requirements: [{self.base}]}}` of the source, or what the hub says: `pip_url`"
                self.part.ledger.note(self.part.loc, what, do)
            return [], False
        made = []
        fetched = False
        for each in _words(written):
            if each.startswith("-") or "$" in each or _SIGNED_IN.search(each):
                what = "an option of pip, a variable or a password in what is to be installed"
                do = "write the requirement by hand, under `environment: requirements:` of the source"
                owner.ledger.note(owner.at("pip_url"), what, do)
                continue
            fetched = fetched or "://" in each
            made.append(owner.ledger.given.moved(each))
        if fetched:
            what = "it is fetched from an address, which `allow_urls: true` says is meant"
            owner.ledger.note(
                owner.at("pip_url"), what, "pin a commit (`…@COMMIT`): the address may change what it gives"
            )
        return made, fetched


def _words(written: str) -> list[str]:
    """What pip would be given: requirements, and options with what belongs to them."""
    text = re.sub(r"(^|\s)(-e|--editable)[\s=]+", " ", written)
    made: list[str] = []
    for each in shlex.split(re.sub(r"\s+@\s+", "@", text)):
        if made and made[-1] in _WITH_VALUE:
            made[-1] += f"={each}"
        else:
            made.append(each)
    return made


def plugins(root: Part, kind: str) -> dict[str, Plugin]:
    """The plugins of a kind, by their names. Raises `ConfigError` where two have one, or one inherits from
    itself."""
    parts: dict[str, Part] = {}
    for each in root.part("plugins").parts(kind):
        if parts.setdefault(each.needed("name"), each) is not each:
            raise each.ledger.wrong(each.at("name"), "is the name of another plugin")
    return {name: _plugin(parts, name, ()) for name in parts}


def _plugin(parts: Mapping[str, Part], name: str, below: tuple[str, ...]) -> Plugin:
    part = parts[name]
    parent = str(part.value.get("inherit_from") or "")
    if parent not in parts:
        return Plugin(name, part)
    if parent in (*below, name):
        raise part.ledger.wrong(part.at("inherit_from"), "leads back to the plugin itself")
    return Plugin(name, part, _plugin(parts, parent, (*below, name)).lineage)
