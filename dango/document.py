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
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.timestamp import TimeStamp

from dango.errors import ConfigError, Problem

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
        self.data: dict[str, Any] = _plain(self._tree)

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
        """With `key: value` in the mapping at `loc`; a new key goes on the line below the key `after`."""
        mapping = self._at(loc)
        lines = self.text.splitlines(keepends=True)
        if key in mapping:
            row, column = mapping.lc.value(key)
            token = _token(lines[row], column)
            lines[row] = lines[row][:column] + value + lines[row][column + len(token) :]
        else:
            row, column = mapping.lc.value(after)
            end = column + len(_token(lines[row], column))
            if mapping.fa.flow_style():
                lines[row] = f"{lines[row][:end]}, {key}: {value}{lines[row][end:]}"
            else:
                if not lines[row].endswith("\n"):
                    lines[row] += "\n"
                indent = " " * mapping.lc.key(after)[1]
                lines.insert(row + 1, f"{indent}{key}: {value}\n")
        return Document(self.path, self.name, "".join(lines))

    def remove_item(self, loc: Loc) -> Document:
        """Without the list item at `loc`; comments above and below it stay."""
        *parents, index = loc
        items = self._at(parents)
        assert isinstance(index, int)
        if items.fa.flow_style():
            return self._remove_by_rewriting(parents, index)
        lines = self.text.splitlines(keepends=True)
        start = _dash(lines, items.lc.item(index)[0])
        end = _end_of_item(lines, start)
        if len(items) == 1:
            row = self.where(parents)[0] - 1
            lines[row] = re.sub(r":(\s*)(#|$)", r": []\1\2", lines[row].rstrip("\n"), count=1) + "\n"
        return Document(self.path, self.name, "".join(lines[:start] + lines[end:]))

    def save(self) -> None:
        """Replaces the file in one step, so that a crash leaves the old text or the new, never half of one."""
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(self.text)
            Path(temporary).chmod(mode)
            Path(temporary).replace(self.path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _parse(self) -> CommentedMap:
        # A tab is the one fault that YAML's own message does not name.
        for number, line in enumerate(self.text.splitlines(), 1):
            if re.match(r" *\t", line):
                raise self._broken("a tab: YAML is indented with spaces", number, line.index("\t") + 1)
        try:
            tree = YAML(typ="rt").load(self.text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            row, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
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

    def _at(self, loc: Loc) -> Any:
        node: Any = self._tree
        for part in loc:
            node = node[part]
        return node

    def _remove_by_rewriting(self, parents: Loc, index: int) -> Document:
        # A flow list (`[{…}, {…}]`) has no lines of its own to take out.
        writer = YAML(typ="rt")
        writer.preserve_quotes = True
        writer.width = 4096
        tree = writer.load(self.text)
        node = tree
        for part in parents:
            node = node[part]
        del node[index]
        from io import StringIO

        out = StringIO()
        writer.dump(tree, out)
        return Document(self.path, self.name, out.getvalue())


def _read(path: Path, name: str) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError([Problem(f"larger than {_MAX_BYTES // 1_000_000} MB", file=name)])
        return path.read_text(encoding="utf-8")
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
    return str(node) if isinstance(node, str) else node


def _token(line: str, column: int) -> str:
    """The scalar that starts at `column`: quoted to its closing quote, plain to a comma, bracket or comment."""
    rest = line[column:]
    found = re.match(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|(?:(?! #)[^,\]}\n])*""", rest)
    return found.group().rstrip() if found else ""


def _dash(lines: list[str], row: int) -> int:
    """The row of the `-` that opens the item whose first key stands in `row`."""
    while not lines[row].lstrip().startswith("-"):
        row -= 1
    return row


def _end_of_item(lines: list[str], start: int) -> int:
    """The row after the last line that belongs to the item; blank lines and comments after it do not."""
    depth = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    for row in range(start + 1, len(lines)):
        stripped = lines[row].strip()
        if not stripped or stripped.startswith("#"):
            continue
        if len(lines[row]) - len(lines[row].lstrip()) <= depth:
            break
        end = row + 1
    return end
