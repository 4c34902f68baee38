"""From `source_module` and `source_function` to a function, and what to say when there is none.

`custom_sources` is one package, `custom_sources.<name>` in `sys.modules`, whatever else is installed: its modules
shadow nothing and nothing shadows them, and a pickle or a test finds them under the same name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dlt.sources import DltSource

from dango.dlt_internals.names import MissingDependencyException
from dango.errors import ImportFailed, MissingPackage, NoSuchFunction, NoSuchModule, near
from dango.packages import bringing
from dango.packages import install as installing
from dango.registry.plugins import SOURCES, Plugin, plugins

PACKAGE = "custom_sources"
_MODULE = ("dlt_native", "source_module")
_FUNCTION = ("dlt_native", "source_function")
TYPE = ("type",)
"""The key that names a package's source."""


@dataclass(frozen=True, slots=True)
class Located:
    """A function that was found, under the name of the module that won."""

    module: str
    name: str
    function: Any


def install(folder: Path) -> None:
    """Makes the project's folder the package `custom_sources` of this process.

    An absolute `import other` then finds `custom_sources/other.py` too, but only where nothing installed has the name.
    """
    if PACKAGE in sys.modules:
        _uninstall()
    # What Python remembers of the folder may be from before a file came.
    sys.path_importer_cache.pop(str(folder), None)
    if not any(isinstance(finder, _Siblings) and finder.folder == folder for finder in sys.meta_path):
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Siblings)]
        sys.meta_path.append(_Siblings(folder))
        sys.meta_path.insert(0, _InsideSiblings(folder))
    init = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        PACKAGE, init if init.is_file() else None, submodule_search_locations=[str(folder)]
    ) or importlib.machinery.ModuleSpec(PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    if init.is_file() and spec.loader:
        _guarded(lambda: spec.loader.exec_module(module), PACKAGE, folder)  # type: ignore[union-attr]


def _uninstall() -> None:
    names = [*sys.modules]
    # Those of the package came after it.
    for name in names[names.index(PACKAGE) :]:
        if name.partition(".")[0] == PACKAGE:
            del sys.modules[name]


class _Siblings(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder to be asked: a name that nothing installed has may be a file in `custom_sources/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._specs: dict[str, Any] = {}

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if path is not None or not _is_custom(self.folder, name):
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"{PACKAGE}.{spec.name}")
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It is the same module under a second name, executed already; importlib gave it that name's spec.
        assert module.__spec__
        module.__spec__ = self._specs[module.__spec__.name]


class _InsideSiblings(_Siblings):
    """The first to be asked: `other.part` of a sibling package is `custom_sources.other.part`, not a second module."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        package = name.rpartition(".")[0]
        parent = sys.modules.get(package)
        if parent is None or parent.__name__ != f"{PACKAGE}.{package}":
            return None
        if importlib.util.find_spec(f"{PACKAGE}.{name}") is None:
            return None
        return importlib.machinery.ModuleSpec(name, self)


def find(module: str, function: str, folder: Path) -> Located:
    """The function that a source names.

    Args:
        module: as written in `source_module`.
        function: as written in `source_function`.
        folder: the project's `custom_sources/`, which `install` has made a package.

    Raises:
        NoSuchModule: with where it looked and near names.
        MissingPackage: when one of the module's own imports is not installed.
        ImportFailed: when importing it fails otherwise.
        NoSuchFunction: with what the module does offer.
    """
    return _function(find_module(module, folder), module, function)


def of_plugin(plugin: Plugin) -> Located:
    """What a package brings as a source. Raises `BrokenPlugin` with the root cause, and where it cannot be a source."""
    found = plugin.load(TYPE)
    if inspect.isclass(found) or not (callable(found) or isinstance(found, DltSource)):
        kind = "a class" if inspect.isclass(found) else f"of type {type(found).__name__}"
        raise plugin.broken(f"`{plugin.value}` is {kind}, and no function, source or resource", loc=TYPE)
    return Located(plugin.module, plugin.function, found)


def find_module(module: str, folder: Path) -> ModuleType:
    """The module that a source names. Raises as `find` does."""
    # A name with an empty part (`../shop`) would be relative to nothing.
    for candidate in _candidates(module, folder) if all(module.split(".")) else ():
        loaded = load(candidate, folder)
        if loaded is not None:
            return loaded
    raise _no_such_module(module, folder)


def load(name: str, folder: Path) -> ModuleType | None:
    """The module of this very name; None where there is none. Raises `ImportFailed` where importing fails."""
    try:
        _guarded(lambda: importlib.import_module(name), name, folder)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise
    return sys.modules[name]


def offered(module: ModuleType) -> list[str]:
    """The names of a module that can be a `source_function`: sources and resources, else its own functions."""
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    decorated = [
        name
        for name, value in public.items()
        if type(value).__module__.startswith("dlt.extract") and callable(value)
        and getattr(value, "__module__", None) == module.__name__
    ]  # fmt: skip
    own = [name for name, value in public.items() if inspect.isfunction(value) and value.__module__ == module.__name__]
    return sorted(decorated) or sorted(own)


def custom_modules(folder: Path) -> list[str]:
    """The modules of `custom_sources/`, by the names that `source_module` takes."""
    return sorted(found.name for found in pkgutil.iter_modules([str(folder)]) if not found.name.startswith("_"))


def verified_sources() -> list[str]:
    """dlt's verified sources, which dlt keeps in a repository of their own and does not ship."""
    return (Path(__file__).parent / "verified_sources.txt").read_text(encoding="utf-8").split()


def _candidates(module: str, folder: Path) -> Iterator[str]:
    if _is_custom(folder, module):
        yield f"{PACKAGE}.{module}"
    if _exists(f"dlt.sources.{module}"):
        yield f"dlt.sources.{module}"
    for plugin in plugins(SOURCES):
        if plugin.name == module:
            yield plugin.module
    yield module


def _is_custom(folder: Path, module: str) -> bool:
    if not all(part.isidentifier() for part in module.split(".")):
        return False
    path = folder.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() or _has_python(path)


def _has_python(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*.py"))


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _guarded(action: Callable[[], Any], name: str, folder: Path) -> Any:
    """Runs an import; what foreign code may do at import becomes an error with its place."""
    try:
        return action()
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and (name == missing or name.startswith(f"{missing}.")):
            raise
        raise _missing_package(name, error, folder) from error
    except SyntaxError as error:
        place = _relative(error.filename or "", folder, error.lineno or 0, error.offset or 0)
        raise ImportFailed(f"`{name}` is not valid Python: {error.msg}", place=place, loc=_MODULE) from error
    except SystemExit as error:
        message = f"`{name}` ends the program (sys.exit) while it is imported"
        raise _import_failed(message, error, folder) from error
    except KeyboardInterrupt:
        raise
    except MissingDependencyException as error:
        packages = " ".join(f"'{package}'" for package in error.dependencies)
        message = f"`{name}` is there, but {error.caller} needs packages that are not installed: {packages}"
        raise MissingPackage(message, installing(error.dependencies), loc=_MODULE) from error
    except BaseException as error:
        message = f"importing `{name}` failed: {type(error).__name__}: {error}"
        raise _import_failed(message, error, folder) from error


def _missing_package(name: str, error: ModuleNotFoundError, folder: Path) -> ImportFailed:
    missing = error.name or str(error)
    top = missing.split(".")[0]
    where = _where(error, folder)
    if top == PACKAGE or _is_custom(folder, top):
        names = custom_modules(folder)
        return ImportFailed(
            f"`{name}` imports `{missing}`, which is not there{near(missing.rpartition('.')[2], names)}",
            f"modules of custom_sources/: {', '.join(names)}",
            place=where, loc=_MODULE,
        )  # fmt: skip
    return MissingPackage(
        f"No module named '{missing}': `{name}` is there, but it imports a package that is not installed",
        installing([bringing(top)]),
        place=where, loc=_MODULE,
    )  # fmt: skip


def _import_failed(message: str, error: BaseException, folder: Path) -> ImportFailed:
    return ImportFailed(message, place=_where(error, folder), loc=_MODULE)


def _where(error: BaseException, folder: Path) -> str:
    """The innermost place in the project's own code."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(folder):
            return _relative(frame.filename, folder, frame.lineno or 0, 0)
    return ""


def _relative(file: str, folder: Path, line: int, column: int) -> str:
    path = Path(file)
    shown = path.relative_to(folder.parent).as_posix() if path.is_relative_to(folder.parent) else file
    return ":".join(str(part) for part in (shown, line, column) if part)


def _no_such_module(module: str, folder: Path) -> NoSuchModule:
    shipped = [
        found.name for found in pkgutil.iter_modules(importlib.import_module("dlt.sources").__path__) if found.ispkg
    ]
    plugged = [plugin.name for plugin in plugins(SOURCES)]
    known = [*custom_modules(folder), *shipped, *plugged]
    looked = f"looked in {PACKAGE}/, in dlt.sources, among plugins and among installed packages"
    if module in verified_sources():
        hint = f"`{module}` is one of dlt's verified sources, which dlt does not ship: dango source fetch {module}"
    elif mine := custom_modules(folder):
        hint = f"modules of {PACKAGE}/: {', '.join(mine)}"
    else:
        hint = f"write {PACKAGE}/{module.replace('.', '/')}.py, or install the package that has it"
    return NoSuchModule(f"No module named '{module}'{near(module, known)} ({looked})", hint, loc=_MODULE)


def _function(module: ModuleType, written: str, function: str) -> Located:
    if (found := getattr(module, function, None)) is not None:
        return Located(module.__name__, function, found)
    names = offered(module)
    where = "" if module.__name__ == written else f" ({module.__name__})"
    message = f"Function '{function}' not found in module '{written}'{where}{near(function, names)}"
    hint = f"it offers: {', '.join(names)}" if names else "it offers no function of its own"
    if distribution := _distribution(module.__name__):
        message += f"; that is a module of the installed package `{distribution}`"
        if written in verified_sources():
            hint = f"for dlt's verified source of that name: dango source fetch {written}"
    raise NoSuchFunction(message, hint, loc=_FUNCTION)


def _distribution(module: str) -> str:
    """The installed packages that have a module's topmost name."""
    top = module.split(".")[0]
    found = (installed for installed in importlib.metadata.distributions() if top in _topmost(installed))
    return ", ".join(dict.fromkeys(installed.metadata["Name"] for installed in found))


def _topmost(installed: importlib.metadata.Distribution) -> set[str]:
    # As `packages_distributions`, which on Python 3.10 knows only of packages that declare their names.
    declared = (installed.read_text("top_level.txt") or "").split()
    return {*declared} or {file.parts[0].removesuffix(".py") for file in installed.files or ()}
