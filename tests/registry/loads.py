"""Two loads of an entry through the command line, from a vendor on loopback, and what must hold of them."""

from __future__ import annotations

import os
import secrets as random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlt.common.normalizers.naming.snake_case import NamingConvention

from dango.conversions import moment
from dango.registry.entry import Entry
from tests.conftest import Said
from tests.registry.declared import Declared
from tests.registry.description import Description
from tests.registry.pager import PAGES
from tests.registry.paging_mock import Asked, Vendor
from tests.registry.trial import GUARD, SOURCE, kept, leaks, trial


@dataclass(frozen=True)
class Project:
    """A test's project: how files are written, commands run and tables read."""

    root: Path
    write: Callable[[Mapping[str, str]], None]
    dango: Callable[..., Said]
    rows: Callable[[str], list[Any]]


def load_twice(
    entry: Entry, described: list[Description], project: Project, passed: Callable[[str], object] = str
) -> None:
    """In full, then what is new; then once more with a secret that the vendor does not know.

    Args:
        entry: what is loaded.
        described: the descriptions of its API, after which the vendor answers.
        project: where.
        passed: is told the name of each check that has passed.
    """
    with Vendor(entry, described) as vendor:
        loads = Loads(entry, vendor, project)
        for check in (loads.full, loads.incremental, loads.secrets):
            check()
            passed(check.__name__)


class Loads:
    """The loads of one entry, one after another."""

    def __init__(self, entry: Entry, vendor: Vendor, project: Project) -> None:
        self._id, self._vendor, self._project = entry.id, vendor, project
        self._made = trial(entry, vendor, f"Q7{random.token_hex(8)}Z")
        self._outputs: dict[str, str] = {}
        project.write(self._made.files)

    def full(self) -> None:
        """All is there once, and each page was asked for."""
        self._load("first load")
        self._first, self._asked_first = self._vendor.served, self._vendor.asked
        for each in self._made.resources:
            assert_loaded_once(each, self._project.rows, self._first[each.name].keys())
            assert_read_to_the_end(each, self._asked_first)

    def incremental(self) -> None:
        """After some time at the vendor's what is new is there too, and of what has a cursor no more was asked for."""
        vendor, rows = self._vendor, self._project.rows
        vendor.advance()
        self._load("second load")
        for each in self._made.resources:
            served = vendor.served[each.name].keys()
            is_replaced = each.write_disposition == "replace"
            assert_loaded_once(each, rows, served if is_replaced else served | self._first[each.name].keys())
            assert_up_to_date(each, rows, vendor.cursors(each))
            assert_advanced(each, self._asked_first, vendor.asked)

    def secrets(self) -> None:
        """A wrong secret ends the sync, and neither it nor the right one shows anywhere."""
        made, root = self._made, self._project.root
        if made.secrets:
            wrong = {name: f"{value[:-1]}{random.token_hex(4)}" for name, value in made.secrets.items()}
            self._project.write({".dlt/secrets.toml": made.secrets_file(wrong)})
            assert self._sync("wrong secret", "--resource", made.resources[0].name).code == 1
            planted = [*made.secrets.values(), *wrong.values(), self._vendor.token]
            assert leaks({**self._outputs, **kept(root)}, planted) == []

    def _load(self, name: str) -> None:
        self._vendor.begin()
        said = self._sync(name)
        assert (said.code, self._vendor.refused) == (0, []), f"{self._vendor.refused[:5]}\n{said.out}\n{said.err}"

    def _sync(self, name: str, *arguments: str) -> Said:
        left = self._project.root.parent / "left_loopback"
        # Besides the guard, what the tests themselves are run with: the dango of a clone.
        path = os.pathsep.join(filter(None, (str(GUARD), os.environ.get("PYTHONPATH"))))
        said = self._project.dango("sync", *arguments, env={"PYTHONPATH": path, "GUARD_FILE": str(left)})
        self._outputs[f"{name} stdout"], self._outputs[f"{name} stderr"] = said.out, said.err
        assert not left.exists(), f"{self._id} asked {left.read_text()}"
        return said


NAMING = NamingConvention()


def table(each: Declared) -> str:
    """Where its rows are."""
    return f'raw_{SOURCE}."{NAMING.normalize_table_identifier(each.table)}"'


def column(field: str) -> str:
    """Where a field of its rows is."""
    return f'"{NAMING.normalize_path(field.replace(".", "__"))}"'


def assert_loaded_once(each: Declared, rows: Callable[[str], list[Any]], served: Collection[Any]) -> None:
    """Every row that the vendor served is in the table, and none is there twice."""
    keys = ", ".join(map(column, each.primary_key)) or "_dlt_id"
    [(total, distinct)] = rows(f"select count(*), count(distinct ({keys})) from {table(each)}")
    assert (each.name, total, distinct) == (each.name, len(served), len(served))


def assert_up_to_date(each: Declared, rows: Callable[[str], list[Any]], served: Collection[Any]) -> None:
    """What the vendor served is there as it was served last: a row that has changed, with its new cursor."""
    if served:
        there = {moment(value) for [value] in rows(f"select {cursor_in(each, rows)} from {table(each)}")}
        assert {moment(value) for value in served} <= there, each.name


def cursor_in(each: Declared, rows: Callable[[str], list[Any]]) -> str:
    """Where the cursor is: a column, or inside one of JSON where the resource limits nesting."""
    columns = {name for name, *_ in rows(f"describe {table(each)}")}
    parts = each.cursor.split(".")
    ends = range(len(parts), 0, -1)
    end = next(end for end in ends if column(".".join(parts[:end])).strip('"') in columns)
    name = column(".".join(parts[:end]))
    return name if end == len(parts) else f"json_extract_string({name}, '$.{'.'.join(parts[end:])}')"


def assert_read_to_the_end(each: Declared, asked: list[Asked]) -> None:
    """Each page was asked for, and of an incremental one from the very beginning."""
    mine = [request for request in asked if request.resource == each.name]
    wanted = 1 if each.paginator["type"] == "single_page" else PAGES
    assert len({request.page for request in mine}) >= wanted, f"{each.name}: {mine}"
    begun = {start for request in mine for start in request.starts}
    assert begun <= {str(each.started)}, f"{each.name}: the first load began at {sorted(begun)}"


def assert_advanced(each: Declared, before: list[Asked], after: list[Asked]) -> None:
    """The second load asked for what is new only."""
    old, new = (
        {start for request in asked if request.resource == each.name for start in request.starts}
        for asked in (before, after)
    )
    latest = max(map(moment, old), default=None)
    assert all(latest and moment(start) > latest for start in new), f"{each.name}: from {sorted(old)} to {sorted(new)}"
