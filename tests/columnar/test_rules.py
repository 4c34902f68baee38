"""Each rule keeps something from going wrong: without it, the comparison of the two ways sees a difference."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dango import columnar
from dango.columnar import arrays, frames, hooks, normalizer, plan
from tests.columnar.rules import RULES, Rule
from tests.columnar.worlds import live

_MODULES = (frames, arrays, plan, normalizer, hooks, columnar)
_SOURCES = {module: inspect.getsource(module) for module in _MODULES}


@contextmanager
def broken(rule: Rule) -> Iterator[None]:
    """The code without the rule while the block lasts."""
    (module,) = [module for module in _MODULES if module.__name__ == f"dango.columnar.{rule.module}"]
    assert rule.line in _SOURCES[module], "the rule stands there no more"
    try:
        _run({**_SOURCES, module: _SOURCES[module].replace(rule.line, rule.instead, 1)})
        yield
    finally:
        _run(_SOURCES)


def _run(sources: dict[object, str]) -> None:
    # All of them in their order: each has taken names of those before it.
    for module in _MODULES:
        exec(compile(sources[module], module.__file__ or "", "exec"), module.__dict__)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.skipif(not hooks._able(), reason="this dlt goes by rows")
@pytest.mark.parametrize(
    # Each seventh with every change; `make equality` breaks them all.
    "name",
    [pytest.param(name, marks=pytest.mark.long if number % 7 else ()) for number, name in enumerate(RULES)],
)
def test_without_a_rule_a_difference_is_seen(name: str, tmp_path: Path) -> None:
    rule = RULES[name]
    by_rows = live(tmp_path / "rows", rule.runs, columns=False)
    by_columns = live(tmp_path / "columns", rule.runs, columns=True)
    assert by_columns.told == by_rows.told
    with broken(rule):
        unruly = live(tmp_path / "unruly", rule.runs, columns=True)
    assert (unruly.told, unruly.paths) != (by_columns.told, by_columns.paths)
