"""What a command imports: those that touch no data load neither dlt nor a database, nor any project's code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.connectors import files, sql
from tests.conftest import Said, native, sources

ENGINE = {"dlt", "duckdb", "pyarrow", "pandas", "numpy", "sqlalchemy"}
FACES = {"questionary", "prompt_toolkit", "ruamel", "rich", "pydantic"}

PROBE = """\
import json, sys
sys.argv = ["dango", *json.loads(sys.argv[1])]
try:
    from dango.cli import main
    main()
finally:
    print("\\n@@", json.dumps(sorted(sys.modules)))
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """The modules that a fresh interpreter holds after the command: the top-level ones, and each of dango's."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)], cwd=folder, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = json.loads(done.stdout.rpartition("@@")[2])
    return {name for name in names if "." not in name or name.startswith("dango.")}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["sync", "--help"], ["source", "--help"], ["check", "-h"]]
)
def test_help_and_version_import_nothing_dear(tmp_path: Path, arguments: list[str]) -> None:
    modules = imported(tmp_path, *arguments)
    assert "dango" in modules
    # A command's own help goes through typer's parser, and newer typers import pydantic there.
    theirs = {"pydantic"} if len(arguments) > 1 else set()
    assert modules & (ENGINE | FACES | {"dango.config.models", "dango.config.document"}) <= theirs


def test_the_package_itself_imports_nothing_before_it_is_asked(tmp_path: Path) -> None:
    code = "import dango, sys; print(sorted(n for n in sys.modules if n.startswith('dango')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == "['dango']"


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--json"],
        ["history"],
        ["history", "--json"],
        ["source", "list"],
        ["source", "list", "--json"],
        ["source", "show", "loud"],
        ["source", "disable", "loud"],
    ],
)
def test_what_only_reads_the_project_loads_no_engine_and_none_of_its_code(
    root: Path, write: Callable[..., None], arguments: list[str]
) -> None:
    write({
        "sources": sources(native("loud", module="loud")),
        "custom_sources/__init__.py": "open('imported', 'w').close()\n",
        "custom_sources/loud.py": "open('imported', 'w').close()\nraise SystemExit('imported')\n",
    })  # fmt: skip
    modules = imported(root, *arguments)
    assert modules & {*ENGINE, "questionary", "prompt_toolkit", "custom_sources", "loud"} == set()
    assert not (root / "imported").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["registry", "list"],
        ["registry", "list", "generic", "--json"],
        ["registry", "show", "loud"],
        ["registry", "show", "loud", "--json"],
        ["registry", "schema"],
    ],
)
def test_what_reads_the_registry_loads_no_engine_and_draws_only_for_people(
    root: Path, write: Callable[..., None], arguments: list[str]
) -> None:
    write({
        "sources": sources(native("loud", module="loud")),
        "registry/loud.yml": "registry: 1\nid: loud\ntitle: Loud\ncategory: generic\n"
        'build: {kind: function, function: "loud:rows", inspect: "loud:look"}\n',
        "custom_sources/__init__.py": "open('imported', 'w').close()\n",
        "custom_sources/loud.py": "open('imported', 'w').close()\nraise SystemExit('imported')\n",
    })  # fmt: skip
    modules = imported(root, *arguments)
    assert modules & {*ENGINE, "questionary", "prompt_toolkit", "custom_sources", "loud"} == set()
    draws = "--json" not in arguments and "schema" not in arguments
    assert ("rich" in modules) == draws
    assert not (root / "imported").exists()


@pytest.mark.parametrize("arguments", [["status", "--json"], ["history", "--json"], ["status"], ["source", "list"]])
def test_what_is_known_already_needs_no_parser(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], arguments: list[str]
) -> None:
    write({"sources": sources(native("shop"))})
    dango("status")
    modules = imported(root, *arguments)
    assert modules & {"ruamel", "filelock", "tomlkit", "dango.config.text.yaml_tree", "dango.secrets"} == set()


def test_who_plans_a_sync_imports_no_engine_and_asks_nothing(root: Path, write: Callable[..., None]) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": SHOP})
    modules = imported(root, "sync")
    assert (
        modules & {*ENGINE, "questionary", "prompt_toolkit", "filelock", "dango.workers.worker", "dango.load.pipeline"}
        == set()
    )


# What a worker holds at the end of a sync, besides what an empty one with dlt and DuckDB does.
WORKED = """\
import json, os, sys
import dlt, duckdb

def filled():
    return "cast" in vars(sys.modules.get("pyarrow.compute", sys))

engine, by_dlt = set(sys.modules), filled()
from dango.workers import worker
from dango.project import Project
from dango.runner import Request, plan
from dango.secrets import Mask
from dango.workers.supervision import surroundings

project = Project.at(".")
os.environ.update(surroundings(project))
sent = []
worker.load((plan(project, [], Request())[0], Mask()), sent.append)
imported = sorted(set(sys.modules) - engine)
print(json.dumps([sent[-1].status, sent[-1].rows, imported, filled() and not by_dlt]))
"""
SHOP = """\
import dlt

@dlt.resource(primary_key="id")
def rows(id=dlt.sources.incremental("id", initial_value=0)):
    yield [{"id": 1}]
"""


def worked(root: Path, code: str) -> tuple[str, int, list[str], bool]:
    """What `code` prints: how the sync ended, its rows, what it imported, and whether Arrow's functions are in it.

    Not what dlt imports: an older one does all of Arrow.
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout, done.stderr
    status, rows, modules, filled = json.loads(done.stdout.splitlines()[-1])
    return status, rows, modules, filled


def test_a_sync_that_finds_nothing_new_imports_nothing_that_only_loading_or_checking_needs(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": SHOP})
    assert dango("sync").code == 0
    status, rows, modules, _ = worked(root, WORKED)
    assert (status, rows) == ("ok", 0)
    others = {
        *("dango.load.copying", "dango.stored.examination"),
        *(f"dango.sources.{name}" for name in ("buildable", "describe", "explain", "probing")),
    }
    # A module of another name is never found.
    assert all(map(find_spec, others))
    parsers = {"dango.sources.traps", "dango.config.text.yaml_tree", "dango.config.text.yaml_edits"}
    assert {*modules} & {"pyarrow", "pandas", "sqlalchemy", "rich", "questionary", *others, *parsers} == set()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_large_file_is_loaded_without_functions_of_arrow(root: Path, write: Callable[..., None], kind: str) -> None:
    write({"sources": sources(f"- {{name: in, type: files, files: {{location: in.{kind}}}}}\n")})
    chosen, rows = "i AS id, md5(i::VARCHAR) AS text, 1.5::DOUBLE AS price", 300_000
    written = "FORMAT json" if kind == "jsonl" else f"FORMAT {kind}"
    duckdb.sql(f"COPY (SELECT {chosen} FROM range({rows}) AS t (i)) TO '{root / f'in.{kind}'}' ({written})")
    status, loaded, _, filled = worked(root, f"from dango.workers import preloaded\n{WORKED}")
    assert (status, loaded, filled) == ("ok", rows, False)


def test_init_imports_no_engine(tmp_path: Path) -> None:
    assert imported(tmp_path, "init") & ENGINE == set()


def test_the_version_is_that_of_the_distribution(root: Path, dango: Callable[..., Said]) -> None:
    said = dango("--version")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("dango ")
    assert said.out.split()[1][0].isdigit()


READ = """\
import json, sys
words = json.loads(sys.argv[1])
from dango import cli
import typer
cli._spare(cli.app, words)
def walk(command):
    below = command.commands.items()
    return {name: walk(each) if hasattr(each, "commands") else [p.name for p in each.params] for name, each in below}
print(json.dumps(walk(typer.main.get_command(cli.app))))
"""


def test_the_parameters_of_a_command_are_read_only_where_it_is_named() -> None:
    def read(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", READ, json.dumps(words)], capture_output=True, text=True, check=True
        )
        return dict(json.loads(done.stdout))

    nothing, listing, sync = read(), read("--project", "x", "source", "list", "--json"), read("sync", "list")
    assert nothing.keys() == listing.keys() == sync.keys()
    assert nothing["source"].keys() == listing["source"].keys()
    assert not any(
        parameters
        for group in (nothing, nothing["source"])
        for parameters in group.values()
        if isinstance(parameters, list)
    )
    assert "json" in listing["source"]["list"]
    assert listing["sync"] == listing["env"]["list"] == sync["source"]["list"] == []
    assert "full_refresh" in sync["sync"]


def test_to_know_what_databases_and_files_may_be_told_nothing_is_imported_that_reads_them(tmp_path: Path) -> None:
    code = """\
import json, sys
import dlt
theirs = set(sys.modules)
from dango.connectors import files, sql
from dango.workers import preloaded
before = sorted(set(sys.modules) - theirs)
preloaded.more([files.__name__, sql.__name__])
print(json.dumps([before, sorted(sys.modules)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    before, behind = map(set, json.loads(done.stdout))
    assert not before & {"pyarrow", "sqlalchemy", "pandas"}
    # Where several are synced, their processes begin with all of it.
    assert {"pyarrow", "sqlalchemy", *files.LATER, *sql.LATER} <= behind
