"""Hostile input: whatever stands in a project's files, it is a configuration or a message with its place.

Never another exception, never a wait, never a file outside of the project. `FUZZ` in the environment says how many
inputs are tried; `make fuzz` tries ten thousand.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dango.errors import DangoError, Problem
from dango.inspection import project_problems
from dango.project import Project
from dango.registry.entries import entry_document, entry_in
from dango.registry.lint import lint
from dango.secrets import project_mask

FILES = ("sources.yml", "secrets.toml", ".env", "entry")
EXAMPLES = int(os.environ.get("FUZZ", "200")) // len(FILES)
SECONDS = 5.0
"""What no input takes: most take a thousandth of it, and the machine may be busy."""

ROOT = Path(__file__).parent.parent
SOURCES = """\
# a project
version: 1
destination: lake
destinations:
  lake: {type: duckdb, credentials: env:LAKE}
defaults: &usual
  max_errors: 5%
sources:
  - name: shop
    type: dlt_native
    <<: *usual
    allowed_hosts: [files.example.com]
    dlt_native:
      source_module: shop
      source_function: orders
      function_kwargs: {pages: 3, token: "env:TOKEN", at: 2024-01-01, deep: [{a: [1, 2.5, null, true]}]}
      dataset_name: raw_orders
    resources:
      orders: {write_disposition: merge, primary_key: [id, line], cursor: {field: updated_at, lag: 60}}
  - name: pages
    type: rest_api
    rest_api: {base_url: "https://api.example.com", path: pages, endpoints: [{name: x, endpoint: {path: "{y}"}}]}
"""
SECRETS = (
    '[sources.shop]\ntoken = "abc-def"\nkeys = ["a", "b"]\n[destination.lake.credentials]\npassword = \'x\'\nport = 1\n'
)
DOTENV = "TOKEN=abc\nexport LAKE='a b'\nX=\"a\\nb\" # more\nY=${TOKEN}\n\nZ\n"
ENTRY = (ROOT / "registry" / "github.yml").read_text(encoding="utf-8")
SEEDS = {"sources.yml": SOURCES, "secrets.toml": SECRETS, ".env": DOTENV, "entry": ENTRY}

NASTY = (
    *("&a", "*a", "*usual", "<<: ", "<<: *usual", "!!python/object/apply:os.system [echo]", "!!binary x", "%YAML 1.1"),
    *("---", "...", "? ", "{{ x }}", "${x}", "${secrets.token}", "${", "env:", "env::x", "env:A?", "keyring:x"),
    *(
        "command:touch ran",
        "../../../x",
        "/etc/passwd",
        "x; DROP TABLE y; --",
        '"',
        "'",
        "\\",
        "\0",
        "\x07",
        "\r",
        "\r\n",
    ),
    *(
        "\t",
        "\u2028",
        "\ufeff",
        "\ud7ff",
        "ß",
        "\U0001f600",
        "[" * 300,
        "{" * 300,
        "- " * 300,
        "9" * 400,
        "1e999",
        ".inf",
    ),
    *(".nan", "-0", "0o7", "0x_", "1:2:3", "2024-13-45", "2024-01-01", "9999-12-31T23:59:60Z", "~", "null", "yes"),
    *("a: b: c", "|", ">-", "#", "[[x]]", "[x", "'''", '"""', "=", "\n\n", "name: name", "type: registry"),
    *("extends: shop", "sources:", "(a+)+$", "{0.__class__}", "%s", "x" * 5_000),
)
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
LOOP = "version: 1\nsources: &s\n  - *s\n"


@st.composite
def texts(draw: st.DrawFn, seed: str) -> str:
    """A file as people have them, with some of its lines and words moved, lost, doubled or changed for the worst."""
    text = seed
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.sampled_from([0, 0, 1, 1, 3, 10, 40, 200])))
        other = draw(
            st.one_of(
                st.sampled_from(NASTY),
                st.text(max_size=6),
                st.sampled_from(["", "\n", "  ", ": "]),
                st.just(text[begin:end] * 2),
                st.builds(lambda a, b: seed[a : a + b], st.integers(0, len(seed)), st.integers(1, 80)),
            )
        )
        text = text[:begin] + other + text[end:]
    return text


def whole(root: Path, name: str, data: bytes) -> None:
    """Reads a project in which one file is `data`, as `check` and `sync` do before a process is started."""
    files = {
        "sources.yml": ".dango/sources.yml", "secrets.toml": ".dlt/secrets.toml", ".env": ".env",
        "entry": "registry/github.yml",
    }  # fmt: skip
    for kind, path in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data if kind == name else SEEDS[kind].encode())
    project = Project(root)
    raised(lambda: [placed(problem, root) for problem in project_problems(project)])
    raised(lambda: project_mask(project)("a text"))
    raised(lambda: project.dotenv)

    def all_sources() -> None:
        for source in project.config.sources:
            raised(lambda source=source: (project.job(source), list(project.unset(source))))

    def entry() -> None:
        document = entry_document(root / "registry/github.yml", "registry/github.yml")
        for finding in lint(entry_in(document)):
            document.where(finding.loc)

    raised(all_sources)
    raised(entry)


def raised(block: Callable[[], object]) -> None:
    """Runs it; the only exception that it may raise is one for the user, with a place in a file that has it."""
    try:
        block()
    except DangoError as error:
        for problem in error.problems:
            placed(problem, None)


def placed(problem: Problem, root: Path | None) -> None:
    assert problem.message.strip()
    assert problem.line >= 0 and problem.column >= 0
    assert "Traceback" not in problem.message


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if ".dango/cache" not in str(path)}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the project, which lies a few folders further down."""
    folder = tmp_path_factory.mktemp("room")
    (folder / "a" / "b" / "project" / ".dango").mkdir(parents=True)
    (folder / "a" / "b" / "project" / ".dango" / "sources.yml").write_text(SOURCES)
    return folder


_tried = itertools.count(1)


@pytest.mark.parametrize("name", FILES)
def test_whatever_stands_in_a_file_it_is_read_or_told(
    room: Path, name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    root = room / "a" / "b" / "project"
    monkeypatch.chdir(room / "a" / "b")
    monkeypatch.setenv("TOKEN", "t0ken-of-mine")
    whole(root, name, SEEDS[name].encode())
    before = tree(room)
    slowest, tried = 0.0, 0

    @settings(
        max_examples=max(EXAMPLES, 1), deadline=None, database=None, derandomize="FUZZ" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @example(text=BOMB, noise=b"")
    @example(text=LOOP, noise=b"")
    @example(text=SEEDS[name], noise=b"\xff\xfe\x00")
    @example(text="", noise=b"")
    @given(text=texts(SEEDS[name]), noise=st.one_of(st.just(b""), st.binary(max_size=4)))
    def told(text: str, noise: bytes) -> None:
        nonlocal slowest, tried
        started = time.monotonic()
        whole(root, name, text.encode("utf-8", "surrogatepass") + noise)
        slowest, tried = max(slowest, time.monotonic() - started), tried + 1
        assert time.monotonic() - started < SECONDS, text
        assert tree(room) == before

    told()
    record_property("figure", f"{name}: {tried} inputs, none of them a traceback; the slowest took {slowest:.2f} s")
