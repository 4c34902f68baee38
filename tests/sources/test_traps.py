"""Mistakes that dlt takes without a word are found by reading the file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dango.sources.traps import traps
from tests.conftest import Said, native, sources

HEAD = "import dlt\nfrom typing import Any, Optional\n"


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[tuple[str, str, int, int]]]:
    """The traps in a module of a project: message, hint, line, column."""

    def found(text: str, name: str = "f") -> list[tuple[str, str, int, int]]:
        file = tmp_path / "custom_sources" / "shop.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(HEAD + text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("a_shop_of_traps", file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        # dlt looks a function's module up by name.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        problems = traps(getattr(module, name), tmp_path)
        assert {problem.file for problem in problems} <= {"custom_sources/shop.py"}
        return [(problem.message, problem.hint, problem.line, problem.column) for problem in problems]

    return found


Found = Callable[..., list[tuple[str, str, int, int]]]


@pytest.mark.parametrize(
    ("signature", "column"),
    [
        ('def f(at: dlt.sources.incremental("at") = None): yield at', 7),
        ('def f(a, b=1, at: dlt.sources.incremental("at") = None, c=2): yield at', 15),
        ('def f(*, at: dlt.sources.incremental("at") = None): yield at', 10),
        ('def f(at: dlt.sources.incremental("at") = None, /): yield at', 7),
        ('async def f(at: dlt.sources.incremental("at") = None): yield at', 13),
    ],
)
def test_an_incremental_that_defaults_to_none_is_reported_with_the_line_as_it_should_be(
    found: Found, signature: str, column: int
) -> None:
    assert found(signature) == [(
        "`at` of `f` is never incremental: its default is None",
        'write it as: at: dlt.sources.incremental[Any] = dlt.sources.incremental("at")',
        3,
        column,
    )]  # fmt: skip


def test_the_corrected_line_keeps_the_name_by_which_incremental_was_imported(found: Found) -> None:
    text = 'from dlt.sources import incremental\ndef f(at: incremental("at", initial_value=3) = None): yield at'
    assert found(text)[0][1] == 'write it as: at: incremental[Any] = incremental("at", initial_value=3)'


@pytest.mark.parametrize(
    "text",
    [
        'def f(at: dlt.sources.incremental[Any] = dlt.sources.incremental("at")): yield at',
        'def f(at=dlt.sources.incremental("at")): yield at',
        "def f(at: Optional[dlt.sources.incremental[Any]] = None): yield at",
        "def f(at: dlt.sources.incremental = None): yield at",
        "@dlt.resource\ndef f(): yield 1",
        "@dlt.resource\ndef f(): yield from [1]",
        "@dlt.resource\ndef f(): return [1]",
        "@dlt.resource\ndef f():\n    if 1:\n        return\n    x = yield 1",
        "@dlt.resource\ndef f():\n    raise NotImplementedError",
        "@dlt.resource\ndef f():\n    for x in [1]:\n        yield x",
        "def f(): print('no resource')",
        "@dlt.source\ndef f(): return []",
    ],
)
def test_what_is_right_is_not_reported(found: Found, text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("body", "hint", "line"),
    [
        ("    found = [1]", "end it with: yield found", 5),
        ("    rows = [1]\n    rows", "end it with: yield rows", 6),
        ("    rows = [1]\n    return None", "end it with: yield rows", 6),
        ("    for row in [1]:\n        row", "end it with: yield rows", 5),
        ("    def inner():\n        yield 1", "end it with: yield rows", 5),
        ("    pass", "end it with: yield rows", 5),
        ("    '''Only a docstring.'''", "end it with: yield rows", 5),
    ],
)
@pytest.mark.parametrize("decorator", ["@dlt.resource", "@dlt.resource(name='x')", "@dlt.transformer()"])
def test_a_resource_that_returns_none_is_reported(
    found: Found, decorator: str, body: str, hint: str, line: int
) -> None:
    message = "the resource `f` returns None: nothing is ever loaded"
    given = "item" if "transformer" in decorator else ""
    assert found(f"{decorator}\ndef f({given}):\n{body}\n") == [(message, hint, line, 5)]


def test_a_resource_inside_a_source_is_looked_at_too(found: Found) -> None:
    text = "@dlt.source\ndef f():\n    @dlt.resource\n    def inner():\n        rows = [1]\n    return inner\n"
    assert [(message, line) for message, _, line, _ in found(text)] == [
        ("the resource `inner` returns None: nothing is ever loaded", 7)
    ]


def test_code_that_is_not_the_projects_is_not_read(found: Found, tmp_path: Path) -> None:
    assert traps(dlt_function(), tmp_path) == []
    assert traps(7, tmp_path) == []
    assert traps(len, tmp_path) == []


def dlt_function() -> Any:
    from dlt.sources.filesystem import filesystem

    return filesystem


def test_check_reports_traps_with_their_place(
    write: Callable[[Mapping[str, str]], None], dango: Callable[..., Said]
) -> None:
    write({
        "custom_sources/shop.py": (
            HEAD + '@dlt.resource\ndef rows(at: dlt.sources.incremental("at") = None):\n    yield {"at": 1}\n'
            "@dlt.resource\ndef others():\n    found = [1]\n"
        ),
        "sources": sources(native("shop")),
    })  # fmt: skip
    said = dango("check")
    assert said.code == 2
    assert said.told == (
        "error: custom_sources/shop.py:4:10: `at` of `rows` is never incremental: its default is None\n"
        '  hint: write it as: at: dlt.sources.incremental[Any] = dlt.sources.incremental("at")\n'
        "error: custom_sources/shop.py:8:5: the resource `others` returns None: nothing is ever loaded\n"
        "  hint: end it with: yield found\n"
    )
