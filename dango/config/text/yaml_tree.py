"""A YAML text, parsed: its plain values, and the place of each."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.timestamp import TimeStamp

_AT_LEAST = 10_000
"""So many values a text may stand for, however short it is."""


class NotYaml(ValueError):
    """The text is not YAML, or holds what has no plain value; `line` and `column`, from 1, are where."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@lru_cache(maxsize=2)
def tree(text: str) -> Tree:
    """The parsed text; who asks again for places in the same text does not wait again. Raises `NotYaml`."""
    return Tree(text)


class Tree:
    """A parsed text. Raises `NotYaml`."""

    def __init__(self, text: str) -> None:
        self._root = _parsed(text)
        # Without aliases there are fewer values than characters.
        self._most = max(_AT_LEAST, 10 * len(text))

    @property
    def is_empty(self) -> bool:
        """Whether the text holds nothing but comments."""
        return self._root is None

    @property
    def is_mapping(self) -> bool:
        """Whether it is one at its top, as every file of ours."""
        return isinstance(self._root, CommentedMap)

    def values(self) -> dict[str, Any]:
        """What a mapping means, without ruamel's own types. Raises `NotYaml`."""
        try:
            return dict(_plain(self._root, itertools.count(-self._most)))
        except (RecursionError, TypeError) as error:
            # An alias inside what it stands for; a mapping as a key, which `{{ x }}` of a template is to YAML.
            raise NotYaml("a mapping or a list as a key, or one inside itself: quote it") from error
        except OverflowError as error:
            raise NotYaml(f"its aliases stand for more than {self._most:,} values") from error

    def tags(self) -> dict[tuple[str | int, ...], str]:
        """The tags that are not YAML's own, as `!ENV`, by where they stand. `values` has to come first: it tells a text
        that stands for more than can be walked through."""
        return dict(_tags(self._root, ()))

    def where(self, loc: Sequence[str | int]) -> tuple[int, int]:
        """Line and column, from 1, of the key at `loc`, or of the nearest part of it that exists."""
        node: Any = self._root
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


def _parsed(text: str) -> Any:
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        row, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        # A tab, and a schedule of cron, are the faults that YAML's own message does not name.
        line = "".join(text.splitlines()[row - 1 : row])
        if re.match(r" *\t", line):
            raise NotYaml("a tab: YAML is indented with spaces", row, line.index("\t") + 1) from error
        if found := re.search(r":\s+(@|\*(?=[\s/]))", line):
            said = f"a value that begins with `{found[1]}` has to stand in quotes"
            raise NotYaml(said, row, found.start(1) + 1) from error
        raise NotYaml((error.problem or "not YAML").split(" with value")[0], row, column) from error
    except (YAMLError, ValueError, RecursionError, NotImplementedError) as error:
        raise NotYaml(f"not YAML: {error}".splitlines()[0]) from error
    except (LookupError, AttributeError, TypeError) as error:
        # What ruamel stumbles over; it does not say where.
        raise NotYaml("not YAML: a number without digits (`0x`), or `<<` of what is no mapping") from error


def _tags(node: Any, loc: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    tag = str(getattr(getattr(node, "tag", None), "value", None) or "")
    if tag.startswith("!") and not tag.startswith("!!"):
        yield loc, tag
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _tags(value, (*loc, key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _tags(value, (*loc, position))


def _plain(node: Any, count: Iterator[int]) -> Any:
    """The values without ruamel's own types, which neither compare nor pickle as what they stand for.

    Raises:
        OverflowError: when there are so many that `count` comes to 0. Aliases of aliases make a page of text as many.
    """
    if next(count) == 0:
        raise OverflowError
    if isinstance(node, Mapping):
        return {_plain(key, count): _plain(value, count) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, count) for value in node]
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
