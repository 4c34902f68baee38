"""A YAML file whose every key knows its line, and which an edit changes only where it must."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.timestamp import TimeStamp

from dango.errors import ConfigError, Problem
from dango.files import replace_text
from dango.text import yaml_edits
from dango.text.values import same
from dango.text.yaml_spans import NotWritten

# Larger than any file a person keeps; stops a machine-made one before the parser takes minutes over it.
_MAX_BYTES = 5_000_000

Loc = Sequence[str | int]


class Document:
    """A parsed YAML file: `data` holds plain values, `where(loc)` the place of each.

    `smallest` are the lines without which it would be of no use, for those who left it empty. Raises `ConfigError`
    with file, line and column when the text is not YAML, holds a key twice or is no mapping.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        text: str | None = None,
        *,
        smallest: Sequence[str] = ("version: 1", "sources: []"),
    ) -> None:
        self.path = path
        self.name = name
        self._smallest = smallest
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
            # What a merge (`<<`) brings has no place of its own.
            if isinstance(node, CommentedMap) and part in (node.lc.data or {}):
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

    def value(self, loc: Loc) -> Any:
        """What stands at `loc`; None where nothing does."""
        return _at(self.data, loc)

    def set_value(self, loc: Loc, key: Any, value: Any, after: str | None = None) -> Document:
        """With `key: value` in the mapping at `loc`, which may be empty or missing; a new key goes below `after`, or
        below the last where there is no `after`.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        held = _at(self.data, loc)
        if loc and (held is None or held == {}):
            *parents, name = loc
            return self.set_value(parents, name, {key: value})
        if isinstance(held, dict) and key in held and same(held[key], value):
            return self
        wanted = self._copy()
        if isinstance(held, dict):
            _at(wanted, loc)[key] = value
        return self._edited(lambda text: yaml_edits.with_value(text, loc, key, value, after), wanted, loc)

    def remove_key(self, loc: Loc, key: Any) -> Document:
        """Without the key in the mapping at `loc`; comments above and below it stay.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        held = _at(self.data, loc)
        if not isinstance(held, dict) or key not in held:
            return self
        wanted = self._copy()
        del _at(wanted, loc)[key]
        return self._edited(lambda text: yaml_edits.without_key(text, loc, key), wanted, [*loc, key])

    def replace_item(self, loc: Loc, value: Mapping[Any, Any]) -> Document:
        """With the mapping at `loc` meaning `value`: only keys that differ change, and the order of the others stays.

        A new key goes below the one that it follows in `value`. Raises `ConfigError` where the text does not allow
        that without changing anything else.
        """
        old = _at(self.data, loc)
        if same(old, value) or not isinstance(old, dict):
            return self
        wanted = self._copy()
        target = _at(wanted, loc)
        target.clear()
        target.update(value)
        return self._edited(lambda text: yaml_edits.with_mapping(text, loc, old, value), wanted, loc)

    def append_item(self, loc: Loc, value: Mapping[Any, Any]) -> Document:
        """With one more item at the end of the list at `loc`, which may be empty or missing.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        *parents, key = loc
        wanted = self._copy()
        mapping = _at(wanted, parents)
        mapping[key] = [*(_at(self.data, loc) or []), value]
        return self._edited(lambda text: yaml_edits.with_item(text, loc, value), wanted, loc)

    def remove_item(self, loc: Loc) -> Document:
        """Without the list item at `loc`; comments above and below it stay.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        *parents, index = loc
        wanted = self._copy()
        del _at(wanted, parents)[index]
        return self._edited(lambda text: yaml_edits.without_item(text, loc), wanted, loc)

    def diff(self, other: Document) -> str:
        """What leads from this text to the other, as a unified diff; empty where nothing does.

        It quotes lines of both: whoever shows it masks secrets first.
        """
        old, new = self.text.splitlines(), other.text.splitlines()
        lines = difflib.unified_diff(old, new, self.name, other.name, lineterm="")
        return "".join(f"{line}\n" for line in lines)

    def save(self) -> None:
        """Replaces the file in one step. Raises `DangoError` where it cannot be written."""
        replace_text(self.path, self.text)

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
        except (YAMLError, ValueError, RecursionError, NotImplementedError) as error:
            raise self._broken(f"not YAML: {error}".splitlines()[0], 1, 1) from error
        if tree is None:
            raise self._broken("the file is empty", 1, 1, "\n  ".join(["it needs at least:", *self._smallest]))
        if not isinstance(tree, CommentedMap):
            keys = ", ".join(f"`{line.split()[0]}`" for line in self._smallest)
            raise self._broken(f"this should be a mapping: {keys} …", 1, 1)
        return tree

    def _broken(self, message: str, line: int, column: int, hint: str = "") -> ConfigError:
        return ConfigError([Problem(message, hint, self.name, line, column)])

    def _copy(self) -> dict[str, Any]:
        copied: dict[str, Any] = _plain(self._tree)
        return copied

    def _edited(self, edit: Callable[[str], str], wanted: dict[str, Any], loc: Loc) -> Document:
        """The edited text as a document, if it means what is wanted: an anchor may tie one source to another."""
        try:
            edited = Document(self.path, self.name, edit(self.text))
        except (ConfigError, NotWritten):
            edited = None
        if edited is None or not same(edited.data, wanted):
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
    """The value at `loc`; None where there is none."""
    for part in loc:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data
