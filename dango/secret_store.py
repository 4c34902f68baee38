"""Secrets are put into `.dlt/secrets.toml` and taken out of it; everything else in the file stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from dango.config.text import lines, toml_spans
from dango.config.text.toml_spans import NotRead, Span
from dango.config.text.values import same
from dango.errors import ConfigError, DangoError, Problem
from dango.files import replace_text
from dango.secrets import SCHEME, SECRETS_FILE, parse_toml, read_toml

Keys = tuple[str, ...]


def store(path: Path, section: Sequence[str], values: Mapping[str, Any]) -> None:
    """Puts values under `[section]` of a TOML file, which is for its owner alone from then on (0600).

    Args:
        values: a mapping in it is a section below; None takes the key out. A new text that looks like a reference to
            where a secret is (`env:…`) is written as one that only looks so.

    Raises:
        ConfigError: the file is not TOML, or cannot be changed without changing more than the values.
        DangoError: it cannot be written.
    """
    meant = _meant(values, _at(read_toml(path, SECRETS_FILE), section))
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DangoError(f"{path} cannot be written: {error.strerror}") from error
    replace_text(path, with_values(text, section, meant), 0o600)


def _meant(values: Mapping[str, Any], held: Any) -> dict[str, Any]:
    """The values as they have to be written; what stands there already stays as it is."""
    there = held if isinstance(held, Mapping) else {}
    meant: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            meant[key] = _meant(value, there.get(key))
        elif isinstance(value, str) and value != there.get(key):
            meant[key] = SCHEME.sub(r"\1::", value, count=1) if SCHEME.match(value) else value
        else:
            meant[key] = value
    return meant


def secrets_of(path: Path, section: Sequence[str]) -> dict[str, Any]:
    """What stands under `[section]`, sections below it included. Raises `ConfigError` where the file is not TOML."""
    held = _at(read_toml(path, SECRETS_FILE), section)
    return held if isinstance(held, dict) else {}


def with_values(text: str, section: Sequence[str], values: Mapping[str, Any]) -> str:
    """The text of a TOML file with values under `[section]`; a mapping is a section below, None takes the key out.

    A new key goes below the last of its section, a new section below its nearest relative. Raises `ConfigError`
    where the text is not TOML, or does not allow that without changing anything else.
    """
    wanted = _merged(_parsed(text), tuple(section), values)
    return _verified(lambda: _with_all(text, tuple(section), values), wanted, section)


def without(text: str, section: Sequence[str], keys: Iterable[str]) -> str:
    """The text of a TOML file without these keys of `[section]`, and without its header if nothing is left below it.

    Raises `ConfigError` as `with_values` does.
    """
    return with_values(text, section, dict.fromkeys(keys))


def _with_all(text: str, section: Keys, values: Mapping[str, Any]) -> str:
    for key, value in values.items():
        path = (*section, key)
        if value is None:
            left = _without(text, path)
            text = text if left == text else _without_header(left, section)
        elif isinstance(value, Mapping):
            text = _with_all(_without_scalar(text, path), path, value)
        else:
            text = _with(_without_below(text, path), section, key, value)
    return text


def _with(text: str, section: Keys, key: str, value: Any) -> str:
    spans = toml_spans.read(text)
    path, written = (*section, key), _written(value).replace("\n", lines.breaks(text))
    for span in spans:
        if span.value and span.path == path:
            return text[: span.value] + written + text[span.end :]
    if table := _last(span for span in spans if span.path == path[: len(span.path)] and _is_table(text, span)):
        return _with_in_table(text, table, f"{_dotted(path[len(table.path) :])} = {written}")
    if header := _last(span for span in spans if span.is_header and span.path == section):
        position = lines.following(text, _end_of_block(spans, header))
        return lines.inserted(text, position, [f"{_dotted((key,))} = {written}"])
    beside = (s for s in spans if s.value and not s.inline and s.path[: len(section)] == section)
    if sibling := _last(s for s in beside if len(s.section) < len(section)):
        dotted = _dotted(path[len(sibling.section) :])
        return lines.inserted(text, lines.following(text, sibling.end), [f"{dotted} = {written}"])
    return _with_section(text, spans, section, f"{_dotted((key,))} = {written}")


def _with_in_table(text: str, table: Span, pair: str) -> str:
    head = text[: table.end - 1].rstrip()
    comma = "" if head.endswith("{") else " " if head.endswith(",") else ", "
    return head + comma + pair + text[len(head) :]


def _with_section(text: str, spans: list[Span], section: Keys, pair: str) -> str:
    """With a new section: above the first that is below it, below the last of its parent's, or at the end."""
    headers = [span for span in spans if span.is_header]
    added = [f"[{_dotted(section)}]", pair]
    if inner := next((span for span in headers if span.path[: len(section)] == section), None):
        return lines.inserted(text, _above_comments(text, lines.start(text, inner.start)), [*added, ""])
    relative = _last(span for span in headers if span.path[:1] == section[:1])
    relative = _last(s for s in headers if len(section) > 1 and s.path[: len(section) - 1] == section[:-1]) or relative
    position = _end_of_paragraph(text, _end_of_block(spans, relative)) if relative else len(text)
    above = text[:position]
    return lines.inserted(text, position, added if not above or above.endswith(("\n\n", "\n\r\n")) else ["", *added])


def _without(text: str, path: Keys) -> str:
    """Without the key, and without every section and key below it."""
    # The last first: keys whose header is gone would belong to the section above.
    while span := _last(s for s in toml_spans.read(text) if s.path[: len(path)] == path):
        text = _without_span(text, span)
    return text


def _without_scalar(text: str, path: Keys) -> str:
    scalar = next((s for s in toml_spans.read(text) if s.value and s.path == path and not _is_table(text, s)), None)
    return _without_span(text, scalar) if scalar else text


def _without_below(text: str, path: Keys) -> str:
    """Without the sections and dotted keys that a single value takes the place of."""
    spans = (span for span in toml_spans.read(text) if span.path[: len(path)] == path and not span.inline)
    return _without(text, path) if any(span.is_header or span.path != path for span in spans) else text


def _without_span(text: str, span: Span) -> str:
    if span.inline:
        siblings = [other for other in toml_spans.read(text) if other.inline and other.section == span.section]
        return lines.without_part(text, [(other.start, other.end) for other in siblings], siblings.index(span))
    return text[: lines.start(text, span.start)] + text[lines.following(text, span.end) :]


def _without_header(text: str, section: Keys) -> str:
    """Without the section's header if nothing stands below it, a comment neither."""
    header = next((span for span in toml_spans.read(text) if span.is_header and span.path == section), None)
    if not header:
        return text
    start, end = lines.start(text, header.start), lines.following(text, header.end)
    below = text[end : lines.end(text, end)].strip()
    if text[header.end : end].strip() or (below and not below.startswith("[")):
        return text
    above = text[:start]
    if above.endswith(("\n\n", "\n\r\n")):
        above = above.removesuffix("\n").removesuffix("\r")
    return above + text[end:]


def _end_of_block(spans: list[Span], header: Span) -> int:
    """Where the last key of a section ends, or the header where it has none."""
    end = header.end
    for span in spans[spans.index(header) + 1 :]:
        if span.is_header:
            break
        end = end if span.inline else span.end
    return end


def _end_of_paragraph(text: str, position: int) -> int:
    """Below the comments that follow without an empty line."""
    position = lines.following(text, position)
    while text[position : lines.end(text, position)].lstrip().startswith("#"):
        position = lines.following(text, position)
    return position


def _above_comments(text: str, position: int) -> int:
    """Above the comments that stand over the line which begins at `position`."""
    while position and text[lines.start(text, position - 1) : position].lstrip().startswith("#"):
        position = lines.start(text, position - 1)
    return position


def _last(spans: Iterable[Span]) -> Span | None:
    return max(spans, key=lambda span: span.start, default=None)


def _is_table(text: str, span: Span) -> bool:
    return bool(span.value) and text[span.value] == "{"


def _dotted(keys: Keys) -> str:
    return ".".join(key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key) for key in keys)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return _of_lines(value) if "\n" in value else _quoted(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_dotted((key,))} = {_written(its)}' for key, its in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return str(tomlkit.item(value).as_string())


def _quoted(text: str) -> str:
    if text.isprintable() and ('"' in text or "\\" in text) and "'" not in text:
        return f"'{text}'"
    return f'"{_escaped(text)}"'


def _of_lines(text: str) -> str:
    """A text of several lines, such as a key in PEM or a file of JSON, as it was pasted."""
    if all(map(str.isprintable, text.split("\n"))) and "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    return '"""\n' + "\n".join(map(_escaped, text.split("\n"))) + '"""'


def _escaped(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\r": "\\r"}
    return "".join(
        escapes.get(character)
        or (f"\\u{ord(character):04x}" if ord(character) < 32 or ord(character) == 127 else character)
        for character in text
    )


def _parsed(text: str) -> dict[str, Any]:
    # Whoever reads the file reads every line end as a plain one.
    return parse_toml(text.replace("\r\n", "\n"), SECRETS_FILE)


def _merged(data: dict[str, Any], section: Keys, values: Mapping[str, Any]) -> dict[str, Any]:
    target = data
    for part in section:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise _refused(section)
    for key, value in values.items():
        if isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            _merged(target, (key,), value)
        elif value is None:
            target.pop(key, None)
        else:
            target[key] = value
    return data


def _verified(edit: Callable[[], str], wanted: dict[str, Any], section: Sequence[str]) -> str:
    """The edited text, if it means what is wanted."""
    try:
        text = edit()
        means = _parsed(text)
    except (ConfigError, NotRead):
        raise _refused(section) from None
    if not same(_without_empty(means), _without_empty(wanted)):
        raise _refused(section)
    return text


def _refused(section: Sequence[str]) -> ConfigError:
    message = f"[{_dotted(tuple(section))}] cannot be changed without changing more than it"
    return ConfigError([Problem(message, "edit it by hand", SECRETS_FILE)])


def _without_empty(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    inner = {key: _without_empty(its) for key, its in value.items()}
    return {key: its for key, its in inner.items() if its != {}}


def _at(data: Any, section: Sequence[str]) -> Any:
    for part in section:
        data = data.get(part) if isinstance(data, dict) else None
    return data
