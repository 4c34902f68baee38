"""What is dear to import is imported when it is used, once, and whole for whoever uses it."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from dango.workers import later

DEAR = """\
import time
from pathlib import Path

with Path(__file__).with_name("imports").open("a") as noted:
    noted.write(__name__ + "\\n")
first = 1
time.sleep(0.2)
if Path(__file__).with_name("broken").exists():
    raise ValueError("it is broken")
second = [first, __spec__.name, __file__]
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Makes `dear_module` such a one, and `pack.dear` too. Returns the folder."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    for file in (tmp_path / "dear_module.py", tmp_path / "pack" / "dear.py"):
        file.write_text(DEAR)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(later, "_DEAR", frozenset({"dear_module", "pack.dear"}))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    later.install()
    yield tmp_path
    for name in ("dear_module", "pack.dear", "pack"):
        sys.modules.pop(name, None)


def imports(folder: Path) -> list[str]:
    return [name for noted in sorted(folder.rglob("imports")) for name in noted.read_text().split()]


def test_it_is_imported_when_it_is_used(module: Path) -> None:
    dear = importlib.import_module("dear_module")
    assert (dear.__name__, dear.__file__) == ("dear_module", str(module / "dear_module.py"))
    assert importlib.import_module("dear_module") is dear
    assert imports(module) == []
    assert dear.second == [1, "dear_module", dear.__file__]
    assert dear.__spec__ is not None
    assert dear.__loader__ is dear.__spec__.loader
    assert isinstance(dear.__loader__, SourceFileLoader)
    assert dear.__loader__.get_source("dear_module") == DEAR
    assert imports(module) == ["dear_module"]
    with pytest.raises(AttributeError, match="has no attribute 'third'"):
        _ = dear.third


def test_in_a_package_too(module: Path) -> None:
    dear = importlib.import_module("pack.dear")
    assert (vars(sys.modules["pack"])["dear"] is dear, imports(module)) == (True, [])
    names: dict[str, object] = {}
    exec("from pack.dear import second", names)
    assert names["second"] == [1, "pack.dear", dear.__file__]
    assert imports(module) == ["pack.dear"]


@pytest.mark.parametrize("use", [lambda dear: dear.second[0], lambda dear: later.fill(dear) or dear.second[0]])
def test_threads_that_use_it_at_the_same_time_have_all_of_it(module: Path, use: Callable[..., int]) -> None:
    dear = importlib.import_module("dear_module")
    together = threading.Barrier(8)

    def work() -> int:
        together.wait()
        return use(dear)

    with ThreadPoolExecutor(8) as threads:
        assert [each.result() for each in [threads.submit(work) for _ in range(8)]] == [1] * 8
    assert imports(module) == ["dear_module"]


def test_what_it_raises_is_raised_where_it_is_used_and_again(module: Path) -> None:
    (module / "broken").touch()
    dear = importlib.import_module("dear_module")
    for _ in range(2):
        with pytest.raises(ValueError, match="it is broken"):
            _ = dear.second
    (module / "broken").unlink()
    assert dear.second[0] == 1


def test_others_are_imported_at_once(module: Path) -> None:
    (module / "cheap.py").write_text(DEAR)
    importlib.import_module("cheap")
    assert imports(module) == ["cheap"]
    later.fill(sys.modules.pop("cheap"))
    assert imports(module) == ["cheap"]


def test_what_is_not_there_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "_DEAR", frozenset({"dear_and_gone"}))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    later.install()
    with pytest.raises(ModuleNotFoundError, match="dear_and_gone"):
        importlib.import_module("dear_and_gone")
