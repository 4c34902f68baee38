"""What dlt can bear of the parameters of resources, with every Python that dango runs on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from dango import connectors

CONNECTORS = Path(connectors.__path__[0])


def made_resources() -> Iterator[tuple[str, str]]:
    """The functions that a module names in a `dlt.resource(…)`, with the module."""
    for file in sorted(CONNECTORS.rglob("*.py")):
        module = ".".join(("dango", "connectors", *file.relative_to(CONNECTORS).with_suffix("").parts))
        tree = ast.parse(file.read_text("utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("dlt"), attr="resource"), args=[ast.Name(name), *_]):
                    if name in functions:
                        yield module, name


def alternatives(hint: Any) -> tuple[Any, ...]:
    return (hint, *get_args(hint)) if type(None) in get_args(hint) else (hint,)


@pytest.mark.parametrize(("module", "name"), list(made_resources()))
def test_no_parameter_is_a_tuple_or_a_callable_of_something(module: str, name: str) -> None:
    # With Python 3.10 these are classes to `inspect`, but not to `issubclass`, which dlt asks of each parameter's type.
    for parameter, hint in get_type_hints(getattr(import_module(module), name)).items():
        if parameter != "return":
            assert not {get_origin(each) for each in alternatives(hint)} & {tuple, Callable}, parameter
