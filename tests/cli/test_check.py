"""`dango check`: every mistake of the whole project in one run, with its place, and no network."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dango.lock import alive
from dango.workers.executors import cores
from tests.conftest import Said, native, sources, until

GUARDED = "import dlt\n@dlt.resource\ndef guarded(api_token: str = dlt.secrets.value):\n    yield {'id': 1}\n"
GOOD = "def rows():\n    yield {'id': 1}\n"


def test_a_good_project_is_well_and_nothing_of_it_is_loaded(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": sources(native("a"), native("b")), "custom_sources/shop.py": GOOD})
    said = dango("check")
    assert (said.code, said.out, said.err) == (0, "2 of 2 sources are well\n", "")
    assert not (root / "data" / "warehouse.duckdb").exists()
    assert dango("check", "b").out == "1 of 1 sources are well\n"
    assert dango("check", "a", "--json").json == {"problems": [], "checked": ["a"], "exit_code": 0}


def test_every_mistake_of_the_sources_is_told_in_one_run(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({
        "sources": sources(
            native("good"),
            native("nomodule", module="shopp"),
            native("nofunction", "row"),
            native("kwargs", function_kwargs={"since": 1}),
            native("syntax", module="broken"),
            native("exits", module="exits"),
            native("variable", "one", function_kwargs={"url": "env:BI_ONE", "more": ["env:BI_TWO"]}),
            native("token", "guarded", function_kwargs={"api_token": "literal-value"}),
        ),
        "custom_sources/shop.py": GOOD + "def one(url='', more=()):\n    yield {'id': 1}\n" + GUARDED,
        "custom_sources/broken.py": "def rows(:\n",
        "custom_sources/exits.py": "import sys\nsys.exit(3)\n",
    })  # fmt: skip
    said = dango("check", "--json")
    assert said.code == 2
    assert said.json["exit_code"] == 2
    assert len(said.json["checked"]) == 8
    found = {p["message"]: p for p in said.json["problems"]}
    assert all(p["file"] and p["line"] for p in found.values()), found
    places = {m.split(" (")[0]: f"{p['file']}:{p['line']}" for m, p in found.items()}
    assert places["No module named 'shopp'"] == ".dango/sources.yml:4"
    assert places["Function 'row' not found in module 'shop'"] == ".dango/sources.yml:5"
    assert places["`rows` has no parameter `since`"] == ".dango/sources.yml:6"
    assert places["the environment variable BI_ONE is not set"] == ".dango/sources.yml:9"
    assert places["the environment variable BI_TWO is not set"] == ".dango/sources.yml:9"
    assert any(p["file"] == "custom_sources/broken.py" and p["line"] == 1 for p in found.values())
    assert any(p["file"] == "custom_sources/exits.py" and p["line"] == 2 for p in found.values())
    (warning,) = [p for p in found.values() if p["severity"] == "warning"]
    assert (warning["line"], "`api_token`" in warning["message"]) == (10, True)
    assert "literal-value" not in said.out + said.err
    assert len(found) == 8
    people = dango("check")
    assert (people.code, people.out) == (2, "2 of 8 sources are well\n")
    assert people.err.count("error: ") == 7
    assert people.err.count("warning: ") == 1


def test_many_are_checked_side_by_side_and_told_in_their_order(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    names = [f"s{n:02}" for n in range(50)]
    bad = {"s07": "dies", "s40": "dies", "s41": "shopp"}
    write({
        "sources": sources(*(native(name, module=bad.get(name, "shop")) for name in names)),
        "custom_sources/shop.py": "import os\nopen('looked', 'a').write(f'{os.getpid()} ')\n" + GOOD,
        "custom_sources/dies.py": "import os\nos._exit(3)\n",
    })  # fmt: skip
    said = dango("check", "--json")
    assert said.json["checked"] == names
    told = [(problem["line"], problem["message"][:23]) for problem in said.json["problems"]]
    first = "importing `dies` ended "
    assert told == [(10, first), (43, first), (44, "No module named 'shopp'")]
    # Those behind one that ends its process are looked at by another.
    assert len({*(root / "looked").read_text().split()}) == 3 + (cores() > 1)


def test_an_interrupted_check_leaves_no_process(root: Path, write: Callable[..., None]) -> None:
    hangs = "import os, time\nopen(f'pid-{os.getpid()}', 'w').close()\ntime.sleep(60)\n"
    write({
        "sources": sources(*(native(f"s{n:02}", module="hangs") for n in range(50))),
        "custom_sources/hangs.py": hangs,
    })  # fmt: skip
    with subprocess.Popen([sys.executable, "-m", "dango", "check"], cwd=root, start_new_session=True) as check:
        pids = until(lambda: [int(file.name[4:]) for file in root.glob("pid-*")])
        check.send_signal(signal.SIGINT)
        assert check.wait(timeout=10) == 130
    until(lambda: not any(map(alive, pids)))


def test_mistakes_of_several_files_are_told_together(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    write({
        "sources": "version: 1\nnope: 1\nsources:\n  - name: Bad\n    type: dlt_native\n    dlt_native: {}\n",
        ".dlt/secrets.toml": "[sources.a]\ntoken = \n",
        ".dlt/config.toml": "x = [1,\n",
    })  # fmt: skip
    said = dango("check", "--json")
    assert said.code == 2
    places = [(p["file"], p["line"]) for p in said.json["problems"]]
    assert (".dlt/secrets.toml", 2) in places
    assert any(file == ".dlt/config.toml" for file, _ in places)
    assert {(".dango/sources.yml", 2), (".dango/sources.yml", 4), (".dango/sources.yml", 6)} <= set(places)
    people = dango("check")
    assert (people.code, people.out) == (2, "")
    assert people.err.count("error: ") == len(places)


def test_a_secrets_file_that_is_no_toml_is_named_without_its_text(
    write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({
        "sources": sources(native("a")),
        "custom_sources/shop.py": GOOD,
        ".dlt/secrets.toml": '[sources.a]\ntoken = "hunter22\n',
    })  # fmt: skip
    said = dango("check")
    assert said.code == 2
    assert "error: .dlt/secrets.toml:2:" in said.err
    assert "hunter22" not in said.err


def test_a_warning_alone_is_no_failure(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    write({
        "sources": sources(native("a", "guarded", function_kwargs={"api_token": "literal-value"})),
        "custom_sources/shop.py": GUARDED,
    })  # fmt: skip
    said = dango("check")
    assert (said.code, said.out) == (0, "1 of 1 sources are well\n")
    assert said.err.startswith("warning: .dango/sources.yml:3:")
    assert "literal-value" not in said.err


def test_no_source_is_no_mistake_and_an_unknown_one_is(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    write({"sources": "version: 1\n"})
    assert (dango("check").code, dango("check").out) == (0, "no source to check\n")
    said = dango("check", "nope")
    assert (said.code, said.told) == (
        2, "error: no source `nope` in this project\n  hint: .dango/sources.yml lists no source yet\n",
    )  # fmt: skip


def test_a_dry_run_looks_for_secrets_too_and_loads_nothing(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({
        "sources": sources(native("good"), native("secret", "guarded")),
        "custom_sources/shop.py": GOOD
        + "import dlt\n@dlt.source\ndef guarded(api_key: str = dlt.secrets.value):\n    return []\n",
    })  # fmt: skip
    assert dango("check").code == 0
    said = dango("sync", "--dry-run")
    assert (said.code, said.out) == (2, "1 of 2 sources are well\n")
    assert "no value for `api_key`" in said.err
    assert "[sources.secret]" in said.err
    assert dango("sync", "good", "--dry-run").code == 0
    assert not (root / "data" / "warehouse.duckdb").exists()
    assert not list((root / ".dango").glob("history*"))


def test_files_of_secrets_that_others_can_read_are_a_warning_with_what_mends_it(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": "version: 1\n", ".env": "TOKEN=a-secret\n", ".dlt/secrets.toml": 'token = "a-secret"\n'})
    files = [root / ".dlt/secrets.toml", root / ".env"]

    def warnings() -> list[str]:
        said = dango("check", "--json")
        assert said.code == 0 and "a-secret" not in said.out + said.err
        assert {problem["severity"] for problem in said.json["problems"]} <= {"warning"}
        return [f"{problem['file']}: {problem['hint']}" for problem in said.json["problems"]]

    for file in files:
        file.chmod(0o640)
    assert warnings() == [".dlt/secrets.toml: chmod 600 .dlt/secrets.toml", ".env: chmod 600 .env"]
    for _ in files:
        subprocess.run(warnings()[0].partition(": ")[2].split(), cwd=root, check=True)
    assert warnings() == []

    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    assert warnings() == []
    # A program that the repository's own settings name is not run.
    (root / "watch.sh").write_text("#!/bin/sh\ntouch ran\n")
    (root / "watch.sh").chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", "./watch.sh"], cwd=root, check=True)
    subprocess.run(["git", "-c", "core.fsmonitor=false", "add", "-f", ".env"], cwd=root, check=True)
    (warning,) = warnings()
    assert warning.startswith(".env: git rm --cached .env, ")
    subprocess.run(warning.partition(": ")[2].partition(",")[0].split(), cwd=root, check=True)
    (root / "ran").unlink(missing_ok=True)
    assert warnings() == []
    assert not (root / "ran").exists()
    assert (root / ".env").exists()


def test_a_place_for_a_source_that_there_is_not_is_a_mistake(
    write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    listed = sources(*(native(name).replace("name:", f"executor: {place}, name:") for name, place in (
        ("a", "local"), ("b", "auto"), ("c", "'ray://head:10001'"), ("d", "lokal"),
    )))  # fmt: skip
    write({"sources": listed, "custom_sources/shop.py": GOOD})
    said = dango("check")
    assert said.code == 2
    assert ".dango/sources.yml:6:6: no executor `lokal`" in said.told and said.told.count("error:") == 1
    assert "executors: local; a Ray cluster: ray://HOST:PORT, auto" in said.told
    # Where the command line names the place, no line of the file is to blame.
    for words, told in (((), ".dango/sources.yml:6:6: no executor `lokal`"), (("--on", "lokal"), "error: no executor")):
        said = dango("sync", "d", *words)
        assert said.code == 2 and told in said.err, said.err
