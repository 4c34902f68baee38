"""A YAML file whose every key knows its line, and which an edit changes only where it must."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dango.config import parsed
from dango.config.text import yaml_quick
from dango.config.text.values import same
from dango.errors import ConfigError, Problem
from dango.files import replace_text

if TYPE_CHECKING:
    from dango.config.text.yaml_tree import Tree

# Larger than any file a person keeps; stops a machine-made one before the parser takes minutes over it.
_MAX_BYTES = 5_000_000

Loc = Sequence[str | int]


class Document:
    """A parsed YAML file: `data` holds plain values, `where(loc)` the place of each.

    Args:
        path: where it is.
        name: as messages call it.
        text: what it holds; read from the file without it.
        smallest: the lines without which it would be of no use, for those who left it empty.
        cache: the folder in which is kept what it means, so that it is parsed once.
        shipped: it is one of dango's own, and read by a quicker parser; for places by the usual one.

    Raises:
        ConfigError: with file, line and column when the text is not YAML, holds a key twice or is no mapping.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        text: str | None = None,
        *,
        smallest: Sequence[str] = ("version: 1", "sources: []"),
        cache: Path | None = None,
        shipped: bool = False,
    ) -> None:
        self.path = path
        self.name = name
        self._smallest = smallest
        self.text = read_text(path, name) if text is None else text
        kept = parsed.read(cache, name, self.text) if cache else None
        known = yaml_quick.values(self.text) if shipped and kept is None else kept
        self.data: dict[str, Any] = self._parsed() if known is None else known
        if cache and kept is None:
            parsed.keep(cache, name, self.text, self.data)

    def where(self, loc: Loc) -> tuple[int, int]:
        """Line and column, from 1, of the key at `loc`, or of the nearest part of it that exists."""
        return self._tree.where(loc)

    def place(self, loc: Loc) -> str:
        """`file:line:column` of the key at `loc`."""
        line, column = self.where(loc)
        return f"{self.name}:{line}:{column}"

    @property
    def tags(self) -> dict[tuple[str | int, ...], str]:
        """Tags that are not YAML's own, as `!ENV`, by where they stand; what they tag is plain in `data`."""
        return self._tree.tags()

    def value(self, loc: Loc) -> Any:
        """What stands at `loc`; None where nothing does."""
        return _at(self.data, loc)

    def set_value(self, loc: Loc, key: Any, value: Any, after: str | None = None) -> Document:
        """With `key: value` in the mapping at `loc`, which may be empty or missing; a new key goes below `after`, or
        below the last where there is no `after`.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        from dango.config.text import yaml_edits

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
        from dango.config.text import yaml_edits

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
        from dango.config.text import yaml_edits

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
        return self.append_items(loc, [value])

    def append_items(self, loc: Loc, values: Sequence[Mapping[Any, Any]]) -> Document:
        """With more items at the end of the list at `loc`, in one edit. Raises `ConfigError` as `append_item` does."""
        from dango.config.text import yaml_edits

        if not values:
            return self
        *parents, key = loc
        wanted = self._copy()
        mapping = _at(wanted, parents)
        mapping[key] = [*(_at(self.data, loc) or []), *values]
        return self._edited(lambda text: yaml_edits.with_items(text, loc, values), wanted, loc)

    def remove_item(self, loc: Loc) -> Document:
        """Without the list item at `loc`; comments above and below it stay.

        Raises `ConfigError` where the text does not allow that without changing anything else.
        """
        from dango.config.text import yaml_edits

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

    @cached_property
    def _tree(self) -> Tree:
        """For the places; nobody waits for the parser, nor for its import, where no place is asked for."""
        from dango.config.text.yaml_tree import NotYaml, tree

        try:
            return tree(self.text)
        except NotYaml as error:
            raise self._broken(str(error), error.line, error.column) from error

    def _parsed(self) -> dict[str, Any]:
        from dango.config.text.yaml_tree import NotYaml

        if self._tree.is_empty:
            raise self._broken("the file is empty", 1, 1, "\n  ".join(["it needs at least:", *self._smallest]))
        if not self._tree.is_mapping:
            keys = ", ".join(f"`{line.split()[0]}`" for line in self._smallest)
            raise self._broken(f"this should be a mapping: {keys} …", 1, 1)
        try:
            return self._tree.values()
        except NotYaml as error:
            raise self._broken(str(error), error.line, error.column) from error

    def _broken(self, message: str, line: int, column: int, hint: str = "") -> ConfigError:
        return ConfigError([Problem(message, hint, self.name, line, column)])

    def _copy(self) -> dict[str, Any]:
        return copy.deepcopy(self.data)

    def _edited(self, edit: Callable[[str], str], wanted: dict[str, Any], loc: Loc) -> Document:
        """The edited text as a document, if it means what is wanted: an anchor may tie one source to another."""
        from dango.config.text.yaml_spans import NotWritten

        try:
            edited = Document(self.path, self.name, edit(self.text))
        except (ConfigError, NotWritten):
            edited = None
        if edited is None or not same(edited.data, wanted):
            line, column = self.where(loc)
            raise self._broken("this cannot be changed without changing more than it", line, column, "edit it by hand")
        return edited


def read_text(path: Path, name: str) -> str:
    """What a text file of at most 5 MB holds, its line ends as they are. Raises `ConfigError`."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError([Problem(f"larger than {_MAX_BYTES // 1_000_000} MB", file=name)])
        # Not `read_text`, which makes every line end a plain one, and the file another.
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(f"not UTF-8: {error.reason} at byte {error.start}", file=name)]) from error
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {error.strerror}", file=name)]) from error


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
