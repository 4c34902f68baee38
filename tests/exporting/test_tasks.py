"""What the files of all orchestrators have in common: each source is a task with a schedule and secrets of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dango.exporting import github_actions, kubernetes, needs, tasks
from dango.project import Project
from tests.conftest import Said
from tests.exporting.programs import run
from tests.exporting.world import EMBEDDED, FILES, NEEDED, SOURCES, TIMES, many

Write = Callable[[Mapping[str, str]], None]

KINDS = ("github-actions", "airflow", "cron", "systemd", "kubernetes")


def split(root: Path) -> dict[str, list[str]]:
    known = needs.secrets(Project(root))
    names = [source.name for source in Project(root).config.sources]
    return {name: [secret.name for secret in known if name in secret.sources] for name in names}


def test_each_source_needs_its_own_secrets_and_those_of_its_destination(root: Path, write: Write) -> None:
    write(FILES)
    found = split(root)
    # Where the file of secrets is, what it refers to is needed; where the secret is given by itself, it is not.
    assert [names for names in found.values() if "SHOP_KEY" in names] == [found["shop"]]
    found["shop"].remove("SHOP_KEY")
    assert found == {**NEEDED, "off": ["OFF_TOKEN", "LAKE_URL", "ANYONES"]}


def test_a_section_of_a_module_is_of_its_sources_and_of_a_type_of_those_that_go_there(root: Path, write: Write) -> None:
    write({
        **FILES,
        ".env": "",
        ".dlt/secrets.toml": '[sources.shop_module]\na = "x"\n[destination.postgres.credentials]\nb = "x"\n'
        '[destination.credentials]\nc = "x"\n[sources]\nd = "x"\n',
        "sources": SOURCES.replace("source_module: shop,", "source_module: pkg.shop_module,"),
    })  # fmt: skip
    found = {name: {each for each in names if "__" in each} for name, names in split(root).items()}
    common = {"DESTINATION__POSTGRES__CREDENTIALS__B", "DESTINATION__CREDENTIALS__C", "SOURCES__D"}
    assert found["off"] == {"SOURCES__SHOP_MODULE__A", *common}
    assert found["shop"] == common


def test_of_two_names_that_begin_alike_the_longer_is_meant(root: Path, write: Write) -> None:
    one = "{name: NAME, type: dlt_native, dlt_native: {source_module: m, source_function: f}}"
    blocks = ", ".join(one.replace("NAME", name) for name in ("a", "a__b", "ab"))
    write({"sources": f"version: 1\nsources: [{blocks}]\n", ".env": "SOURCES__A__B__KEY=x\nSOURCES__A__KEY=x\n"})
    assert split(root) == {"a": ["SOURCES__A__KEY"], "a__b": ["SOURCES__A__B__KEY"], "ab": []}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_same_tasks_and_secrets_and_holds_no_value(
    kind: str, dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write(FILES)
    said = dango("export", kind, "--json")
    assert said.code == 0, said.err
    assert {each["source"]: each["schedule"] for each in said.json["tasks"]} == TIMES
    assert {each["source"]: [one["name"] for one in each["secrets"]] for each in said.json["tasks"]} == NEEDED
    assert set(said.json["secrets"].values()) == {name for names in NEEDED.values() for name in names}
    texts = [Path(file).read_text(encoding="utf-8") for file in said.json["files"]]
    assert "Q7secret" not in said.out + "".join(texts)
    assert "OFF_TOKEN" not in said.out + "".join(texts)

    again = dango("export", kind)
    assert again.code == 0, again.err
    lines = again.out.split("\n\n")[0].splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["as it was"] * len(texts)
    assert "every source" in next(line for line in again.out.splitlines() if "ANYONES" in line)
    for name, file in ((said.json["files"][nth], texts[nth]) for nth in {0, len(texts) - 1}):
        Path(name).write_text("changed", encoding="utf-8")
        refused = dango("export", kind)
        assert (refused.code, Path(name).read_text(encoding="utf-8")) == (2, "changed")
        assert f"`dango export {kind} --force` overwrites them" in refused.err
        assert dango("export", kind, "--force").code == 0
        assert Path(name).read_text(encoding="utf-8") == file


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_schedule_has_that_of_the_command(
    kind: str, dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write({**FILES, "sources": SOURCES.replace('defaults: {schedule: "15 */6 * * *"}\n', "")})
    out = root / "else where"
    said = dango("export", kind, "--json", "--output", str(out))
    assert {each["source"]: each["schedule"] for each in said.json["tasks"]} == {**TIMES, "issues": "0 0 * * *"}
    assert all(Path(file).is_relative_to(out) for file in said.json["files"])
    said = dango("export", kind, "--json", "--force", "--schedule", "@hourly")
    assert {each["source"]: each["schedule"] for each in said.json["tasks"]} == {**TIMES, "issues": "0 * * * *"}
    said = dango("export", kind, "--schedule", "0 25 * * *")
    assert (said.code, said.out) == (2, "")
    assert "error: --schedule: hour `25`: `25` should be 0 to 23\n" in said.err


def test_a_project_of_which_nothing_is_enabled_is_refused(dango: Callable[..., Said], write: Write) -> None:
    write({"sources": EMBEDDED + "    enabled: false\n"})
    said = dango("export", "cron")
    assert (said.code, said.told.splitlines()[0]) == (2, "error: no source is enabled: there is nothing to run")


@pytest.mark.parametrize(
    ("destination", "config", "is_local"),
    [
        ("{type: duckdb}", "", True),
        ("{type: duckdb, credentials: more.duckdb}", "", True),
        ("{type: duckdb, credentials: 'env:FILE'}", "", True),
        ("{type: duckdb, credentials: 'md:lake'}", "", False),
        ("{type: filesystem, bucket_url: out}", "", True),
        ("{type: filesystem, bucket_url: 'file:///out'}", "", True),
        ("{type: filesystem}", "[destination.lake]\nbucket_url = 'out'\n", True),
        ("{type: filesystem, bucket_url: 's3://out'}", "[destination.lake]\nbucket_url = 'out'\n", False),
        ("{type: filesystem, bucket_url: 'env:OUT'}", "", False),
        ("{type: sqlalchemy, credentials: 'sqlite:///x.db'}", "", True),
        ("{type: postgres}", "", False),
    ],
)
def test_what_would_be_lost_with_the_machine_is_refused(
    destination: str, config: str, is_local: bool, root: Path, write: Write
) -> None:
    write({
        "sources": EMBEDDED.replace("sources:", f"destination: lake\ndestinations: {{lake: {destination}}}\nsources:"),
        ".dlt/config.toml": config,
    })  # fmt: skip
    for export in (
        lambda: github_actions.export(Project(root), root, "@daily"),
        lambda: kubernetes.export(Project(root), "", "@daily"),
    ):
        if not is_local:
            assert export().files
            continue
        with pytest.raises(tasks.UsageError) as raised:
            export()
        assert raised.value.message.startswith("`shop` into `lake`: a local file is lost with ")
        assert "dango export systemd" in raised.value.hint


@pytest.mark.parametrize("kind", ["github-actions", "kubernetes"])
def test_of_what_is_refused_nothing_is_written(kind: str, dango: Callable[..., Said], root: Path, write: Write) -> None:
    write({"sources": EMBEDDED})
    said = dango("export", kind)
    assert (said.code, said.out, [path.name for path in root.iterdir()]) == (2, "", [".dango"])
    assert "error: `shop` into `duckdb`: a local file is lost with" in said.err


@pytest.mark.parametrize("kind", ["airflow", "cron", "systemd"])
def test_where_the_machine_stays_so_does_its_file(kind: str, dango: Callable[..., Said], write: Write) -> None:
    write({"sources": EMBEDDED})
    assert dango("export", kind).code == 0


def test_two_hundred_sources_are_two_hundred_tasks(dango: Callable[..., Said], root: Path, write: Write) -> None:
    write({"sources": many(200)})
    for kind in KINDS:
        said = dango("export", kind, "--json")
        assert said.code == 0, said.err
        assert [[one["name"] for one in each["secrets"]] for each in said.json["tasks"]] == [
            [f"KEY_{nth}"] for nth in range(200)
        ]


def test_a_folder_that_no_file_could_name_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb"
    (folder / ".dango").mkdir(parents=True)
    (folder / ".dango" / "sources.yml").write_text(EMBEDDED)
    with pytest.raises(tasks.UsageError, match="characters in its name that no such file can hold"):
        tasks.tasks(Project(folder), "@daily")


def test_a_shell_tries_again_but_for_what_would_end_alike(tmp_path: Path) -> None:
    """The lines themselves, with pauses that take no time."""
    (tmp_path / "sleep").write_text('#!/bin/sh\necho "sleep $1"\n')
    (tmp_path / "task").write_text('#!/bin/sh\necho try\nend="$(head -n 1 ends)"\nsed -i 1d ends\nexit "$end"\n')
    for program in ("sleep", "task"):
        (tmp_path / program).chmod(0o755)
    expected = {
        "0": (0, "try"),
        "2 0": (2, "try"),
        "5 0": (5, "try"),
        "1 0": (0, "try, sleep 60, try"),
        "4 3 2": (2, "try, sleep 60, try, sleep 300, try"),
        "143 1 1 1 0": (1, "try, sleep 60, try, sleep 300, try, sleep 1500, try"),
    }
    lines = tasks.retried("task")
    # As GitHub runs it, where the first failure would end the script, and as cron does.
    for shell in (["bash", "-e", "-c", "\n".join(lines)], ["sh", "-c", tasks.in_one_line(lines)]):
        for ends, (code, said) in expected.items():
            (tmp_path / "ends").write_text(ends.replace(" ", "\n") + "\n")
            done = run(*shell, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
            assert (done.returncode, ", ".join(done.stdout.splitlines())) == (code, said), (shell, ends)
