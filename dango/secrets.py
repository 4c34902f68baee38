"""`.dlt/secrets.toml` and `config.toml`: what they hold and where, and the mask that keeps secrets from sight."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError

from dango.errors import ConfigError, Problem
from dango.project import Project

SECRETS_FILE = ".dlt/secrets.toml"
CONFIG_FILE = ".dlt/config.toml"
MASK = "***"
SHORTEST = 6
"""A shorter value would be found in ordinary words; it is masked by its key alone."""

_SECRET_KEY = re.compile(r"(?i)passw|pwd|secret|token|api_?key|private|credential|auth|access_key|dsn")
_DLT = ("SOURCES__", "DESTINATION__", "CREDENTIALS__")
_PLAIN_KEYS = {
    *("host", "port", "database", "username", "user", "drivername", "schema", "warehouse", "role", "region"),
    *("region_name", "bucket_url", "project_id", "location", "file_glob", "connect_timeout", "dataset_name"),
}
_USER_INFO = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@")


def read_toml(path: Path, name: str) -> dict[str, Any]:
    """The values of a TOML file, empty where there is none. Raises `ConfigError` with line and column."""
    try:
        return dict(tomlkit.parse(path.read_text(encoding="utf-8")).unwrap())
    except FileNotFoundError:
        return {}
    except ParseError as error:
        # The message of a TOML error may quote the line, and the line may hold a secret.
        raise ConfigError([Problem("this is not TOML from here on", "", name, error.line, error.col)]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([Problem(f"cannot be read: {reason}", file=name)]) from None


def line_of(path: Path, section: str, key: str) -> int:
    """The line, from 1, on which `key` stands in `[section]`; 0 where it is not found."""
    current, wanted = "", f"{section}.{key}"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*\[([^\]]+)\]", line):
            current = _bare(header.group(1))
        elif (entry := re.match(r"\s*([\w.\"'-]+)\s*=", line)) and f"{current}.{_bare(entry.group(1))}" == wanted:
            return number
    return 0


def _bare(key: str) -> str:
    return re.sub(r"[\s\"']", "", key)


def is_secret_key(key: str) -> bool:
    """Whether a value under this key is likely a secret, where nothing else says so."""
    return bool(_SECRET_KEY.search(key))


def hidden(value: Any, key: str = "") -> Any:
    """A block of `sources.yml` as it may be shown: what is likely a secret, and no reference to one, is masked."""
    if isinstance(value, Mapping):
        return {name: hidden(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(item, key) for item in value]
    if isinstance(value, str) and value.startswith("env:"):
        return value
    if isinstance(value, str) and is_secret_key(key):
        return MASK
    return Mask()(value) if isinstance(value, str) else value


class Mask:
    """Takes secrets out of text: raw, URL-encoded, base64 or JSON-escaped."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Masks these too, from now on."""
        for secret in secrets:
            for part in {secret, secret.strip(), *secret.splitlines(), *_USER_INFO.findall(secret)}:
                if len(part) >= SHORTEST:
                    self._forms |= _forms(part)
        # The longest first: a secret may be a part of another.
        ordered = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """The text with every known secret, and every password in a URL, replaced."""
        masked = self._pattern.sub(MASK, text) if self._pattern else text
        return _USER_INFO.sub(lambda found: found.group().replace(f":{found.group(1)}@", f":{MASK}@"), masked)


def project_mask(project: Project, environment: Mapping[str, str] | None = None) -> Mask:
    """A mask for everything in a project that may be a secret.

    Args:
        project: its `.env`, `.dlt/secrets.toml` and `sources.yml` are read.
        environment: what the source will see; the project's own where it is not given.
    """
    known = project.environment if environment is None else environment
    mask = Mask(project.dotenv.values())
    mask.add(*_stored(read_toml(project.root / SECRETS_FILE, SECRETS_FILE)))
    mask.add(*(value for name, value in known.items() if _may_be_secret(name, value)))
    for source in project.config.sources:
        mask.add(*_configured(source.expandable()[1], known))
    for destination in project.config.destinations.values():
        mask.add(*_configured(destination.parameters, known))
    return mask


def _may_be_secret(name: str, value: str) -> bool:
    # PWD matches the pattern, and every message holds it; so do the paths of sockets and key files.
    return (name.startswith(_DLT) or is_secret_key(name)) and not value.startswith("/")


def _configured(value: Any, environment: Mapping[str, str], key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _configured(item, environment, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _configured(item, environment, key)
    elif isinstance(value, str) and value.startswith("env:"):
        known = environment.get(value[4:].rstrip("?"), "")
        if not _harmless(known):
            yield known
    elif isinstance(value, str) and is_secret_key(key):
        yield value


def _harmless(value: str) -> bool:
    """A truth value or a date: no secret, and masking it would spoil every message."""
    if value.lower() in ("true", "false"):
        return True
    try:
        dt.date.fromisoformat(value[:10])
    except ValueError:
        return False
    return True


def _stored(value: Any, key: str = "") -> Iterator[str]:
    """What stands in `secrets.toml`, but for the parts of a connection that every message needs."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _stored(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _stored(item, key)
    elif key in _PLAIN_KEYS:
        return
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def _forms(secret: str) -> set[str]:
    raw = secret.encode()
    forms = {
        secret,
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
    # Inside a longer text (`user:password`) base64 begins at any of three offsets; the middle is what is sure.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        middle = encoded[offset and offset + 1 : len(encoded) - 1 or None]
        if len(middle) >= SHORTEST:
            forms |= {middle, middle.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= SHORTEST}
