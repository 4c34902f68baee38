"""`dango source fetch`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources
from tests.test_git import Upstream

Dango = Callable[..., Said]
Write = Callable[..., None]

CHESS = """\
import dlt
from .helpers import load


@dlt.source
def chess(count=2):
    return dlt.resource(load(count), name="players")
"""
HELPERS = "def load(count):\n    for number in range(count):\n        yield {'id': number}\n"


@pytest.fixture(autouse=True)
def _project(write: Write) -> None:
    write({"sources": sources()})


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    repository = Upstream(tmp_path / "upstream")
    repository.commit({
        "sources/chess/__init__.py": CHESS, "sources/chess/helpers.py": HELPERS,
        "sources/chess/requirements.txt": "dlt>=0.5.1\nno-such-package>=2\n", "sources/slack/__init__.py": "",
    })  # fmt: skip
    return repository


def test_a_fetched_source_runs_and_runs_again_after_an_update(
    dango: Dango, write: Write, rows: Callable[[str], list[Any]], upstream: Upstream
) -> None:
    assert dango("source", "fetch", "chess", "--from", str(upstream.folder)).code == 0
    write({"sources": sources(native("games", module="chess", function="chess", function_kwargs={"count": 3}))})
    assert dango("sync").code == 0
    assert rows("select id from raw_games.players order by id") == [(0,), (1,), (2,)]
    upstream.commit({"sources/chess/helpers.py": HELPERS.replace("number}", "number + 10}")})
    assert dango("source", "fetch", "--update", "chess", "--from", str(upstream.folder)).code == 0
    assert dango("sync").code == 0
    assert (10,) in rows("select id from raw_games.players")


def test_what_was_fetched_is_said_with_what_is_to_do_next(dango: Dango, upstream: Upstream) -> None:
    head = upstream.git("rev-parse", "HEAD")
    said = dango("source", "fetch", "chess", "--from", str(upstream.folder), "--commit", "main")
    assert (said.code, said.err) == (0, "")
    files, _, after = said.out.partition("custom_sources/chess/ is chess at ")
    assert [line.split() for line in files.splitlines()] == [
        ["new", "__init__.py"],
        ["new", "helpers.py"],
        ["new", "requirements.txt"],
    ]
    assert after.startswith(f"{head[:7]}: 3 files\n")
    install, add = after.partition("next:\n")[2].splitlines()
    assert install.endswith("python -m pip install 'no-such-package>=2'")
    assert add == "  dango source add dlt_native --module chess"


def test_that_the_copy_does_not_have_the_pinned_commit_is_a_warning(dango: Dango, upstream: Upstream) -> None:
    said = dango("source", "fetch", "chess", "--from", str(upstream.folder))
    assert said.code == 0
    assert said.err == "warning: the copy does not have commit 3957506, which dango knows: taken is its HEAD\n"


def test_json_is_one_document(dango: Dango, upstream: Upstream) -> None:
    head = upstream.git("rev-parse", "HEAD")
    said = dango("source", "fetch", "slack", "--from", str(upstream.folder), "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json == {
        "name": "slack", "commit": head, "before": "", "substitute": True, "missing": [], "exit_code": 0,
        "files": [{"name": "__init__.py", "status": "new", "note": "", "beside": "", "diff": ""}],
    }  # fmt: skip


def test_a_conflict_is_shown_from_three_sides_and_the_project_still_runs(
    dango: Dango, root: Path, write: Write, rows: Callable[[str], list[Any]], upstream: Upstream
) -> None:
    command = ("source", "fetch", "chess", "--from", str(upstream.folder))
    assert dango(*command).code == 0
    mine = HELPERS.replace("number}", "number + 100}")
    block = native("games", module="chess", function="chess")
    write({"custom_sources/chess/helpers.py": mine, "sources": sources(block)})
    upstream.commit({"sources/chess/helpers.py": HELPERS.replace("number}", "-number}")})
    said = dango(*command, "--update")
    assert said.code == 3
    assert "conflict  helpers.py  (the same lines were changed here and there)\n" in said.out
    for line in ("yield {'id': number + 100}", "yield {'id': number}", "yield {'id': -number}"):
        assert f"\n        {line}\n" in said.out
    beside = "custom_sources/chess/helpers.py.new"
    assert f"settle it in {beside}, then: mv {beside} custom_sources/chess/helpers.py\n" in said.out
    assert (root / "custom_sources/chess/helpers.py").read_text() == mine
    assert dango("sync").code == 0
    assert rows("select id from raw_games.players order by id") == [(100,), (101,)]
    again = dango(*command, "--update", "--json")
    assert (again.code, {file["name"]: file["status"] for file in again.json["files"]}) == (
        0,
        {"__init__.py": "same", "helpers.py": "mine", "helpers.py.new": "mine", "requirements.txt": "same"},
    )


def test_an_update_with_nothing_new_says_so(dango: Dango, upstream: Upstream) -> None:
    command = ("source", "fetch", "chess", "--from", str(upstream.folder), "--commit", "main")
    dango(*command)
    said = dango(*command, "--update")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0].endswith(": there is nothing new")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ches", "--from", "UPSTREAM"], "no verified source `ches` at HEAD (did you mean `chess`?)"),
        (["chess", "--from", "."], "ROOT is no git repository"),
        (["chess", "--from", "nowhere"], "no folder ROOT/nowhere"),
        (["chess", "--from", "UPSTREAM", "--commit", "--all"], "UPSTREAM has no commit `--all`"),
        (["chess", "--from", "UPSTREAM", "--update"], "custom_sources/chess/ was not fetched (RECORD is missing)"),
        (["../up", "--from", "UPSTREAM"], "`../up` is no name of a source"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_message_and_writes_nothing(
    dango: Dango, root: Path, upstream: Upstream, arguments: list[str], message: str
) -> None:
    said = dango("source", "fetch", *(a.replace("UPSTREAM", str(upstream.folder)) for a in arguments))
    for word, meant in {
        "UPSTREAM": upstream.folder, "ROOT": root, "RECORD": ".fetched.json",
        "HEAD": upstream.git("rev-parse", "HEAD")[:7],
    }.items():  # fmt: skip
        message = message.replace(word, str(meant))
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[0] == f"error: {message}"
    assert not (root / "custom_sources").exists()


def test_without_network_it_says_how_to_do_without(dango: Dango, root: Path) -> None:
    # Whatever this machine can reach: git is led to a port that nobody listens on.
    lead = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy", "GIT_CONFIG_VALUE_0": "http://127.0.0.1:9"}
    said = dango("source", "fetch", "chess", env=lead)
    assert (said.code, said.out) == (1, "")
    message, hint = said.told.splitlines()
    assert message.startswith("error: cannot reach https://github.com/dlt-hub/verified-sources: ")
    assert hint == "  hint: with a copy of the repository on this machine: dango source fetch chess --from DIR"
    assert not (root / "custom_sources").exists()
