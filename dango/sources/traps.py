"""Mistakes in a source that dlt takes without a word: found by reading its file, each with the line as it should be."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dango.errors import Problem

_DECORATORS = {"resource", "transformer"}


def traps(function: Any, root: Path) -> list[Problem]:
    """The known traps in the file that defines `function`, where that is a file of the project."""
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(function)) or "")
    except TypeError:
        return []
    if not file.is_relative_to(root / "custom_sources"):
        return []
    text = file.read_text(encoding="utf-8")
    name = file.relative_to(root).as_posix()
    found = [
        problem
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for problem in (*_none_for_incremental(node, text, name), *_returns_nothing(node, name))
    ]
    return sorted(found, key=lambda problem: problem.line)


def _none_for_incremental(node: ast.FunctionDef | ast.AsyncFunctionDef, text: str, file: str) -> Iterator[Problem]:
    """`updated: dlt.sources.incremental("x") = None`: dlt reads the default, finds none, loads everything each time."""
    arguments = [*node.args.posonlyargs, *node.args.args]
    pairs = list(zip(reversed(arguments), reversed(node.args.defaults), strict=False))
    pairs += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is not None]
    for argument, default in pairs:
        annotation = argument.annotation
        if (
            isinstance(annotation, ast.Call)
            and _last_name(annotation.func) == "incremental"
            and isinstance(default, ast.Constant)
            and default.value is None
        ):
            made = ast.get_source_segment(text, annotation) or "dlt.sources.incremental(…)"
            yield Problem(
                f"`{argument.arg}` of `{node.name}` is never incremental: its default is None",
                f"write it as: {argument.arg}: {ast.unparse(annotation.func)}[Any] = {made}",
                file, argument.lineno, argument.col_offset + 1,
            )  # fmt: skip


def _returns_nothing(node: ast.FunctionDef | ast.AsyncFunctionDef, file: str) -> Iterator[Problem]:
    if not any(_last_name(d.func if isinstance(d, ast.Call) else d) in _DECORATORS for d in node.decorator_list):
        return
    own = list(_own_nodes(node))
    if any(isinstance(n, ast.Yield | ast.YieldFrom) for n in own):
        return
    returned = [n.value for n in own if isinstance(n, ast.Return) and n.value is not None]
    if any(not (isinstance(value, ast.Constant) and value.value is None) for value in returned):
        return
    if any(isinstance(n, ast.Raise) for n in node.body):
        return
    last = node.body[-1]
    value = last.value if isinstance(last, ast.Expr) else last.targets[0] if isinstance(last, ast.Assign) else None
    shown = ast.unparse(value) if value is not None and not isinstance(value, ast.Constant) else "rows"
    yield Problem(
        f"the resource `{node.name}` returns None: nothing is ever loaded",
        f"end it with: yield {shown}",
        file, last.lineno, last.col_offset + 1,
    )  # fmt: skip


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What runs in the function itself, not in functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        yield child
        yield from _own_nodes(child)


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.id if isinstance(node, ast.Name) else ""
