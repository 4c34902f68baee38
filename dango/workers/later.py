"""Modules that take their time to import, and of which most processes use nothing: imported when one does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_DEAR = frozenset({"pyarrow.compute"})
"""It takes the descriptions of three hundred functions apart, in 50 ms; dlt imports it with the rest of Arrow."""


def install() -> None:
    """From now on, in this process, whoever imports one of them gets a module that fills itself when it is used."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def fill(module: ModuleType) -> None:
    """Imports a module that is there to be used. Does nothing with any other, or where that has happened already."""
    if not isinstance(module, _Later):
        return
    # Whoever comes meanwhile waits; Python's own for this, `LazyLoader`, lets it have half a module before 3.11.9.
    with _FILLING:
        if isinstance(module, _Later) and module.__name__ not in _being_filled:
            _being_filled.add(module.__name__)
            try:
                _fill(module)
            finally:
                _being_filled.remove(module.__name__)


_FILLING = threading.RLock()
_being_filled: set[str] = set()


def _fill(module: ModuleType) -> None:
    spec = module.__spec__
    assert spec
    assert isinstance(spec.loader, _Loader)
    real = spec.loader.real
    real.exec_module(module)
    spec.loader = module.__loader__ = real
    module.__class__ = ModuleType


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Any:
        fill(self)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None


class _Loader(Loader):
    def __init__(self, real: Loader) -> None:
        self.real = real

    def exec_module(self, module: ModuleType) -> None:
        """Leaves it empty for now."""
        module.__class__ = _Later


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _DEAR else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec
