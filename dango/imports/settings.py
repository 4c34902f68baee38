"""A connector's settings: references to the environment become dango's, and secrets are put apart."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dango.imports.given import Loc
from dango.imports.ledger import Ledger, Part
from dango.secrets import Mask, is_secret_key

_VARIABLE = re.compile(r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?P<more>:?[-+?=][^}]*)?\})")
_SCHEME = re.compile(r"env:")


@dataclass(frozen=True, slots=True)
class Settings:
    """What goes into `sources.yml`, and what goes into `secrets.toml`, each as deep as it stood."""

    plain: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the settings of one source are read.

    Attributes:
        ledger: the account of the file.
        source: the source's name, by which a variable is called that is new.
        variables: whether `$NAME` and `${NAME}` in a text mean the environment.
        home: the variable that the tool sets to the file's folder.
        sensitive: settings that are secret, whatever they are called, with dots where they stand deeper.
    """

    ledger: Ledger
    source: str
    variables: bool = True
    sensitive: Collection[str] = ()
    home: str = ""

    def settings(self, part: Part, key: str) -> Settings:
        """The settings under a key, which are settled by that. Raises `ConfigError` where they are no mapping."""
        made = self.of(part.part(key).value, part.at(key))
        part.take(key)
        return made

    def of(self, value: Mapping[str, Any], loc: Loc) -> Settings:
        """Settings that stand at a place."""
        return self._mapping(value, loc, ())

    def text(self, value: Any, loc: Loc) -> Any:
        """One value, as it is written in `sources.yml`."""
        return self._plain(value, loc, loc[-1:])

    def is_secret(self, key: str, value: Any, keys: tuple[str, ...] = ()) -> bool:
        """Whether a value is a secret that stands in the file itself."""
        if isinstance(value, Mapping):
            return any(self.is_secret(str(name), item, (*keys, str(name))) for name, item in value.items())
        if isinstance(value, list):
            return any(self.is_secret(key, item, keys) for item in value)
        if isinstance(value, bool) or value in (None, ""):
            return False
        if isinstance(value, str) and self.variables and _VARIABLE.search(value):
            return False
        named = is_secret_key(key) or ".".join(keys) in self.sensitive
        return (named and isinstance(value, str | int)) or (isinstance(value, str) and Mask()(value) != value)

    def _mapping(self, value: Mapping[str, Any], loc: Loc, keys: tuple[str, ...]) -> Settings:
        made = Settings()
        for key, item in value.items():
            name, place, path = str(key), (*loc, key), (*keys, str(key))
            if isinstance(item, Mapping) and item:
                inner = self._mapping(item, place, path)
                if inner.plain:
                    made.plain[name] = inner.plain
                if inner.secrets:
                    made.secrets[name] = inner.secrets
            elif place in self.ledger.given.tags or not self.is_secret(name, item, path):
                made.plain[name] = self._plain(item, place, path)
            elif isinstance(item, list) and any(_holds_nothing(each) for each in item):
                # TOML has no word for nothing.
                what = "a secret in a list that has an empty value, which secrets.toml cannot hold"
                self.ledger.note(place, what, f"write it under [sources.{self.source}.secrets] without that")
            else:
                made.secrets[name] = _only_env(self._plain(item, place, path)) if isinstance(item, list) else item
        return made

    def _plain(self, value: Any, loc: Loc, keys: tuple[str | int, ...]) -> Any:
        if isinstance(value, Mapping):
            return {str(key): self._plain(item, (*loc, key), (*keys, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._plain(item, (*loc, at), (*keys, at)) for at, item in enumerate(value)]
        if isinstance(value, dt.date | dt.time):
            # As it was written: connectors read their times themselves.
            return value.isoformat().replace("+00:00", "Z")
        if tag := self.ledger.given.tags.get(loc):
            return self._tagged(tag, value, loc, keys)
        return self._text(value, loc, keys) if isinstance(value, str) else value

    def _tagged(self, tag: str, value: Any, loc: Loc, keys: tuple[str | int, ...]) -> Any:
        text = str(value)
        if tag.upper() == "!ENV" and re.fullmatch(r"[A-Za-z_]\w*", text):
            return f"env:{text}"
        if tag.upper() == "!ENV":
            return self._text(text, loc, keys)
        self.ledger.note(
            loc, f"the tag {tag} means nothing here; the text behind it is carried", "look whether it fits"
        )
        return _literal(text)

    def _text(self, text: str, loc: Loc, keys: tuple[str | int, ...]) -> str:
        found = _VARIABLE.search(text) if self.variables else None
        if found is None:
            return _literal(text)
        name = found["bare"] or found["braced"]
        below = text[found.end() :]
        if self.home == name and found.start() == 0 and below.startswith("/") and "$" not in below:
            return self.ledger.given.moved(f".{below}")
        if found.span() != (0, len(text)):
            name = re.sub(r"\W", "_", "_".join(map(str, (self.source, *keys)))).upper()
            what = "a variable is a part of this text, and sources.yml takes one as a whole value alone"
            self.ledger.note(loc, what, f"the text goes into .env, where ${{NAME}} is filled in: {name}=…")
        elif found["more"]:
            what = f"what stands behind the name of the variable {name} has no counterpart"
            self.ledger.note(loc, what, f"set it in the environment or in .env: {name}=…")
        return f"env:{name}"


def layered(layers: Iterator[Settings]) -> Settings:
    """Settings put over each other, key by key; of two values for one key the later counts."""
    made = Settings()
    for layer in layers:
        for key in {**layer.plain, **layer.secrets}:
            made.plain.pop(key, None)
            made.secrets.pop(key, None)
        made.plain.update(layer.plain)
        made.secrets.update(layer.secrets)
    return made


def _literal(text: str) -> str:
    """A text that only looks like a reference is written so that it is none."""
    return _SCHEME.sub("env::", text, count=1) if text.startswith("env:") else text


def _only_env(value: Any) -> Any:
    """A list as it may stand in `secrets.toml`, where more than `env:` refers to something."""
    if isinstance(value, Mapping):
        return {key: _only_env(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_only_env(item) for item in value]
    return re.sub(r"^(keyring|command):", r"\1::", value) if isinstance(value, str) else value


def _holds_nothing(value: Any) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return value is None or any(map(_holds_nothing, inner))
