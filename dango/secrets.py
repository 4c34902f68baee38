"""`.dlt/secrets.toml` and `config.toml`: what they hold and where, and the mask that keeps secrets from sight."""

from __future__ import annotations

import base64
import bisect
import datetime as dt
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError

from dango.config.models import Source
from dango.errors import ConfigError, Problem
from dango.project import Project

SECRETS_FILE = ".dlt/secrets.toml"
CONFIG_FILE = ".dlt/config.toml"
MASK = "***"
SHORTEST = 6
"""A shorter value would be found in ordinary words; it is masked by its key alone."""

SCHEME = re.compile(r"(env|keyring|command):")
"""How a text begins that refers to where a secret is; with a second colon it is a text that begins so."""
REFERENCE = re.compile(r"(env|keyring|command):(?!:)(.*)", re.DOTALL)

_SECRET_KEY = re.compile(r"(?i)passw|pwd|secret|token|api_?key|private|credential|auth|access_key|dsn|salt")
_DLT = ("SOURCES__", "DESTINATION__", "CREDENTIALS__")
_PLAIN_KEYS = {
    *("host", "port", "database", "username", "user", "drivername", "schema", "warehouse", "role", "region"),
    *("region_name", "bucket_url", "project_id", "location", "file_glob", "connect_timeout", "dataset_name"),
}
_URL_SAFE = str.maketrans("+/", "-_")
# The last `@` ends a password, unless what stands between begins something else (a list, JSON).
_USER_INFO = re.compile(r"://[^/\s:@]*:([^/\s@]+(?:@[^/\s@\"'<>,;?&]+)*)@")


def read_toml(path: Path, name: str) -> dict[str, Any]:
    """The values of a TOML file, empty where there is none. Raises `ConfigError` with line and column."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([Problem(f"cannot be read: {reason}", file=name)]) from None
    return parse_toml(text, name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The values of a TOML text. Raises `ConfigError` with line and column."""
    try:
        return dict(tomlkit.parse(text).unwrap())
    except ParseError as error:
        # The message of a TOML error may quote the line, and the line may hold a secret.
        raise ConfigError([Problem("this is not TOML from here on", "", name, error.line, error.col)]) from None
    except TOMLKitError:
        line = _line_of_second(text.splitlines(keepends=True))
        raise ConfigError([Problem("this key or section is there already", "", name, line, 1)]) from None


def _line_of_second(lines: list[str]) -> int:
    """The line, from 1, which tomlkit refuses without saying where: it repeats an earlier key or section."""

    def refused(count: int) -> bool:
        try:
            tomlkit.parse("".join(lines[:count])).unwrap()
        except ParseError:
            return False
        except TOMLKitError:
            return True
        return False

    return bisect.bisect_left(range(len(lines)), True, key=refused)


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


def is_plain_key(key: str) -> bool:
    """Whether it names a part of a connection that every message needs, and that is no secret anywhere."""
    return key in _PLAIN_KEYS


def hidden(value: Any, key: str = "", secret: Collection[str] = ()) -> Any:
    """A block of `sources.yml` as it may be shown: what is likely a secret, and no reference to one, is masked.

    Args:
        value: the block.
        key: the key under which it stands.
        secret: keys that are secret, whatever they are called.
    """
    if isinstance(value, Mapping):
        return {name: hidden(item, str(name), secret) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(item, key, secret) for item in value]
    if isinstance(value, str) and value.startswith("env:"):
        return value
    if key in secret or (isinstance(value, str) and is_secret_key(key)):
        return MASK
    return Mask()(value) if isinstance(value, str) else value


def leaves(section: Mapping[str, Any]) -> Iterator[str]:
    """Every value of a section, at any depth, as text; but for what is said in every message about a connection."""
    yield from _stored(section)


class Mask:
    """Takes secrets out of text: raw, URL-encoded, base64 or JSON-escaped."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Masks these too, from now on."""
        for secret in secrets:
            for part in {secret, secret.strip(), *secret.splitlines(), *_USER_INFO.findall(secret)}:
                if len(part) >= SHORTEST:
                    self._forms |= _forms(part)
        # The longest first: a secret may be a part of another. Looked for ahead, so that the next may overlap it.
        ordered = sorted(self._forms, key=self._forms.__getitem__, reverse=True)
        self._pattern = re.compile(f"(?=({'|'.join(ordered)}))") if ordered else None

    def __call__(self, text: str) -> str:
        """The text with every known secret, and every password in a URL, replaced."""
        return _USER_INFO.sub(
            lambda found: found.group().replace(f":{found.group(1)}@", f":{MASK}@"), self._without_known(text)
        )

    def _without_known(self, text: str) -> str:
        parts, done = [], 0
        for found in self._pattern.finditer(text) if self._pattern else ():
            start, end = found.span(1)
            if start >= done:
                parts += [text[done:start], MASK]
            done = max(done, end)
        return "".join([*parts, text[done:]])


def project_mask(project: Project, environment: Mapping[str, str] | None = None) -> Mask:
    """A mask for everything in a project that may be a secret.

    Args:
        project: its `.env`, `.dlt/secrets.toml` and `sources.yml` are read.
        environment: what the source will see; the project's own where it is not given.
    """
    known = project.environment if environment is None else environment
    mask = Mask(value for value in project.dotenv.values() if not _harmless(value))
    mask.add(*_stored(_secrets_of(project)))
    mask.add(*(value for name, value in known.items() if _may_be_secret(name, value)))
    mask.add(*_rotated(project, known))
    for source in project.config.sources:
        mask.add(*(secret for _, values in source.references for secret in _configured(values, known)))
        mask.add(*_of_entry(project, source))
    for destination in project.config.destinations.values():
        mask.add(*_configured(destination.parameters, known))
    return mask


def _secrets_of(project: Project) -> Mapping[str, Any]:
    return project.entrusted.secrets if project.entrusted else read_toml(project.root / SECRETS_FILE, SECRETS_FILE)


def _rotated(project: Project, environment: Mapping[str, str]) -> Iterator[str]:
    """Refresh tokens that a vendor gave in place of the configured ones."""
    for file in Path(environment.get("DANGO_TOKENS") or project.state / "tokens").glob("*.json"):
        try:
            yield from _stored(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            # Whoever needs it says what is wrong with it.
            continue


def _of_entry(project: Project, source: Source) -> Iterator[str]:
    """What a registry entry calls secret and stands in `sources.yml` itself."""
    try:
        entry = project.entry(source)
    except ConfigError:
        return
    for spec in entry.secrets if entry else ():
        if isinstance(value := source.block.get(spec.name), str | int):
            yield str(value)


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
    elif is_plain_key(key) or (isinstance(value, str) and REFERENCE.match(value)):
        # What it refers to is a secret; whoever finds it masks it.
        return
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def _forms(secret: str) -> dict[str, int]:
    """Patterns for what a secret looks like in text, each with the length of what it stands for."""
    forms = {"".join(map(_character, secret)): len(secret)}
    # Inside a longer text (`user:password`) base64 begins at any of three offsets; the middle is what is sure.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret.encode("utf-8", "surrogatepass")).decode().rstrip("=")
        middle = encoded[offset and offset + 1 : len(encoded) - 1 or None]
        if len(middle) >= SHORTEST:
            forms |= {re.escape(form): len(form) for form in (middle, middle.translate(_URL_SAFE))}
    return forms


def _character(character: str) -> str:
    """A pattern for one character: as it is, or as a URL, JSON or Python writes it.

    Which characters a URL leaves as they are differs from library to library, so it is not the secret as a whole that
    is quoted in one way or another.
    """
    if character.isascii() and character.isalnum():
        return character
    raw = character.encode("utf-8", "surrogatepass")
    forms = {
        *("".join(f"%(?i:{byte:02x})" for byte in raw), "".join(f"\\\\x{byte:02x}" for byte in raw)),
        *(re.escape(json.dumps(character)[1:-1]), re.escape(ascii(character)[1:-1]), re.escape(f"\\{character}")),
    }
    if character == " ":
        forms.add(r"\+")
    # The escaped before the bare: a backslash is itself the beginning of one.
    return f"(?:{'|'.join([*sorted(forms, key=len, reverse=True), re.escape(character)])})"
