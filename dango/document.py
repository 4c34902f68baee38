"""A YAML file whose every key knows its line, and which an edit changes only where it must."""

from __future__ import annotations

import datetime as dt
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.timestamp import TimeStamp

from dango.errors import ConfigError, DangoError, Problem

# Larger than any file a person keeps; stops a machine-made one before the parser takes minutes over it.
_MAX_BYTES = 5_000_000

Loc = Sequence[str | int]


class Document:
    """A parsed YAML file: `data` holds plain values, `where(loc)` the place of each.

    Raises `ConfigError` with file, line and column when the text is not YAML, holds a key twice or is no mapping.
    """

    def __init__(self, path: Path, name: str, text: str | None = None) -> None:
        self.path = path
        self.name = name
        self.text = _read(path, name) if text is None else text
        self._tree = self._parse()
        try:
            self.data: dict[str, Any] = _plain(self._tree)
        except (RecursionError, TypeError) as error:
            # An alias inside what it stands for; a mapping as a key, which `{{ x }}` of a template is to YAML.
            raise self._broken("a mapping or a list as a key, or one inside itself: quote it", 1, 1) from error

    def where(self, loc: Loc) -> tuple[int, int]:
        """Line and column, from 1, of the key at `loc`, or of the nearest part of it that exists."""
        node: Any = self._tree
        place = (1, 1)
        for part in loc:
            if isinstance(node, CommentedMap) and part in node:
                row, column = node.lc.key(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                row, column = node.lc.item(part)
            else:
                break
            place, node = (row + 1, column + 1), node[part]
        return place

    def place(self, loc: Loc) -> str:
        """`file:line:column` of the key at `loc`."""
        line, column = self.where(loc)
        return f"{self.name}:{line}:{column}"

    def set_scalar(self, loc: Loc, key: str, value: str, after: str) -> Document:
        """With `key: value` in the mapping at `loc`; a new key goes on the line below the key `after`.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        mapping = self._node(loc)
        written = {name.value: (name, its) for name, its in mapping.value}
        name, its = written.get(key) or written[after]
        start, end = _value_span(self.text, name, its)
        if key in written:
            text = f"{self.text[:start]}{value}{self.text[end:]}"
        elif mapping.flow_style:
            text = f"{self.text[:end]}, {key}: {value}{self.text[end:]}"
        else:
            below = _next_line(self.text, end)
            head = self.text[:below]
            head += "" if head.endswith("\n") else self._line_end
            text = f"{head}{' ' * name.start_mark.column}{key}: {value}{self._line_end}{self.text[below:]}"
        wanted = self._copy()
        _at(wanted, loc)[key] = YAML(typ="safe", pure=True).load(value)
        return self._edited(text, wanted, loc)

    def remove_item(self, loc: Loc) -> Document:
        """Without the list item at `loc`; comments above and below it stay.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        *parents, index = loc
        assert isinstance(index, int)
        items = self._node(parents)
        wanted = self._copy()
        del _at(wanted, parents)[index]
        if items.flow_style:
            return self._edited(_without_flow_item(self.text, items.value, index), wanted, loc)
        row = _at(self._tree, parents).lc.item(index)[0]
        start = _dash(self.text, row)
        end = _next_line(self.text, max(start + 1, _last(self.text, items.value[index], start)))
        text = self.text[:start] + self.text[end:]
        if len(items.value) == 1:
            key = _line_start(self.text, self.where(parents)[0] - 1)
            line = self.text[key : _next_line(self.text, key)]
            empty = re.sub(r":(\s*)(#|$)", r": []\1\2", line, count=1)
            text = text[:key] + empty + text[key + len(line) :]
        return self._edited(text, wanted, loc)

    def save(self) -> None:
        """Replaces the file in one step, so that a crash leaves the old text or the new, never half of one."""
        path = self.path.resolve()  # a symbolic link stays one
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        try:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        except OSError as error:
            raise DangoError(f"{path} cannot be written: {error.strerror}") from error
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(self.text)
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _parse(self) -> CommentedMap:
        try:
            tree = YAML(typ="rt").load(self.text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            row, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            # A tab is the one fault that YAML's own message does not name.
            text = "".join(self.text.splitlines()[row - 1 : row])
            if re.match(r" *\t", text):
                raise self._broken("a tab: YAML is indented with spaces", row, text.index("\t") + 1) from error
            problem = (error.problem or "not YAML").split(" with value")[0]
            raise self._broken(problem, row, column) from error
        except (YAMLError, ValueError, RecursionError) as error:
            raise self._broken(f"not YAML: {error}".splitlines()[0], 1, 1) from error
        if tree is None:
            raise self._broken("the file is empty", 1, 1, "it needs at least:\n  version: 1\n  sources: []")
        if not isinstance(tree, CommentedMap):
            raise self._broken("this should be a mapping: `version:`, `sources:` …", 1, 1)
        return tree

    def _broken(self, message: str, line: int, column: int, hint: str = "") -> ConfigError:
        return ConfigError([Problem(message, hint, self.name, line, column)])

    def _node(self, loc: Loc) -> Any:
        """The node at `loc` of the composed text, whose marks say where each value begins and ends."""
        node: Any = YAML(typ="rt").compose(self.text)
        for part in loc:
            node = node.value[part] if isinstance(part, int) else dict(_pairs(node))[part]
        return node

    def _copy(self) -> dict[str, Any]:
        copied: dict[str, Any] = _plain(self._tree)
        return copied

    @property
    def _line_end(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _edited(self, text: str, wanted: dict[str, Any], loc: Loc) -> Document:
        """The text as a document, if it means what is wanted: an anchor may tie one source to another."""
        try:
            edited = Document(self.path, self.name, text)
        except ConfigError:
            edited = None
        if edited is None or edited.data != wanted:
            line, column = self.where(loc)
            raise self._broken("this cannot be changed without changing more than it", line, column, "edit it by hand")
        return edited


def _read(path: Path, name: str) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError([Problem(f"larger than {_MAX_BYTES // 1_000_000} MB", file=name)])
        # Not `read_text`, which makes every line end a plain one, and the file another.
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(f"not UTF-8: {error.reason} at byte {error.start}", file=name)]) from error
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {error.strerror}", file=name)]) from error


def _plain(node: Any) -> Any:
    """The values without ruamel's own types, which neither compare nor pickle as what they stand for."""
    if isinstance(node, Mapping):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, ScalarBoolean):
        return bool(node)
    if isinstance(node, ScalarInt):
        return int(node)
    if isinstance(node, ScalarFloat):
        return float(node)
    if isinstance(node, TimeStamp):
        return dt.datetime.fromisoformat(node.isoformat())
    if isinstance(node, TaggedScalar):
        # An unknown tag means nothing here; what it tags is text.
        return str(node.value)
    return str(node) if isinstance(node, str) else node


def _at(data: Any, loc: Loc) -> Any:
    for part in loc:
        data = data[part]
    return data


def _pairs(mapping: Any) -> list[tuple[str, Any]]:
    return [(name.value, its) for name, its in mapping.value]


def _value_span(text: str, name: Any, its: Any) -> tuple[int, int]:
    """Where a key's value begins and ends in the text."""
    colon = re.compile(r"\s*:[ \t]*").match(text, name.end_mark.index)
    start = colon.end() if colon else its.start_mark.index
    if alias := re.compile(r"\*[^\s,\]}]+").match(text, start):
        return start, alias.end()
    end = its.end_mark.index
    # A block of lines (`|`, `>`) ends with its last line, which is its own.
    return start, end - 1 if text[end - 1 : end] == "\n" else end


def _last(text: str, node: Any, start: int) -> int:
    """The end of the last value in a node; what an alias stands for is elsewhere, before `start`."""
    if isinstance(node.value, str) or node.flow_style or not node.value:
        end = int(node.end_mark.index)
        return end - 1 if text[end - 1 : end] == "\n" else end
    inner = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    return max((_last(text, part, start) for part in inner if part.start_mark.index > start), default=start)


def _without_flow_item(text: str, items: list[Any], index: int) -> str:
    start, end = items[index].start_mark.index, items[index].end_mark.index
    if comma := re.compile(r"[ \t]*,[ \t]*").match(text, end):
        end = comma.end()
    elif index and re.fullmatch(r"\s*,\s*", text[items[index - 1].end_mark.index : start]):
        start = items[index - 1].end_mark.index
    return text[:start] + text[end:]


def _line_start(text: str, row: int) -> int:
    start = 0
    for _ in range(row):
        start = _next_line(text, start)
    return start


def _next_line(text: str, position: int) -> int:
    """Where the line after that of `position` begins; the end of the text where there is none."""
    return text.find("\n", position) + 1 or len(text)


def _dash(text: str, row: int) -> int:
    """Where the line begins whose `-` opens the item with its first key in `row`."""
    start = _line_start(text, row)
    while not text[start:].lstrip(" ").startswith("-"):
        start = text.rfind("\n", 0, start - 1) + 1
    return start
