"""`dango export systemd`: systemd itself finds nothing wrong with the units."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dango.exporting import systemd
from dango.project import Project
from tests.conftest import Said
from tests.exporting.programs import required, run
from tests.exporting.world import EMBEDDED, FILES, TIMES, many

Write = Callable[[Mapping[str, str]], None]

NEWER = ("RestartSteps", "RestartMaxDelaySec")
"""Keys of systemd 254."""


def complaints(folder: Path) -> list[str]:
    """What systemd says of the units of a folder, but for keys that this one is too old for."""
    analyze = required("systemd-analyze", "systemd")
    timers = sorted((folder / "systemd").glob("*.timer"))
    services = [timer.with_name(timer.name.replace(".timer", ".service")) for timer in timers]
    # An instance is what the service's own file says of it.
    for service in services:
        service.symlink_to(next(folder.glob("systemd/*@.service")))
    done = run(analyze, "verify", "--man=no", "--recursive-errors=yes", *timers, *services)
    said = [line for line in done.stderr.splitlines() if not any(f"'{key}'" in line for key in NEWER)]
    # What this machine's own units lack is no matter of ours.
    return [line for line in said if "dango" in line or str(folder) in line]


def values(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(file.read_text(encoding="utf-8"))
    return parser


def test_systemd_finds_nothing_wrong(dango: Callable[..., Said], hostile: Callable[..., Path], tmp_path: Path) -> None:
    folder = hostile(FILES)
    said = dango("export", "systemd", cwd=folder)
    assert said.code == 0, said.err
    assert complaints(folder) == []
    # It does find what is wrong.
    (service,) = folder.glob("systemd/*@.service")
    timer = next(folder.glob("systemd/*@shop.timer"))
    for link in folder.glob("systemd/*@*.service"):
        if link.is_symlink():
            link.unlink()
    service.write_text(service.read_text().replace("Type=oneshot", "Type=never").replace("sync %i", '"sync'))
    timer.write_text(timer.read_text().replace("OnCalendar=", "OnCalendar=Someday "))
    told = "\n".join(complaints(folder))
    assert all(word in told for word in ("never", "Someday", "Unbalanced quoting"))


def test_folders_are_named_so_that_systemd_reads_their_names(
    dango: Callable[..., Said], hostile: Callable[..., Path]
) -> None:
    folder = hostile(FILES)
    assert dango("export", "systemd", cwd=folder).code == 0
    (file,) = folder.glob("systemd/*@.service")
    service = values(file)["Service"]
    # A whole line, in which only % stands for anything; and words, quoted as a shell does.
    assert service["WorkingDirectory"] == str(folder).replace("%", "%%")
    words = [word.replace("%%", "%") for word in shlex.split(service["ReadWritePaths"])]
    assert words == [f"-{folder}/.dango", f"-{folder}/data"]


def test_two_hundred_sources_are_one_service_and_two_hundred_timers(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write({"sources": many(200)})
    assert dango("export", "systemd").code == 0
    names = sorted(path.name for path in (root / "systemd").iterdir())
    assert len(names) == 201
    assert complaints(root) == []


def test_the_service_writes_where_a_sync_does_and_tries_again_what_may_end_otherwise(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write({**FILES, "sources": FILES["sources"].replace("15 */6", "*/10 *")})
    assert dango("export", "systemd").code == 0
    service = values(root / "systemd" / "dango-project@.service")
    assert service["Service"]["RestartPreventExitStatus"] == "2 5"
    assert service["Service"]["ReadWritePaths"] == f'"-{root}/.dango" "-{root}/data"'
    assert service["Service"]["WorkingDirectory"] == str(root)
    assert service["Service"]["ExecStart"].endswith('" sync %i --wait 600')
    assert service["Service"]["EnvironmentFile"] == "-/etc/dango-project/%i.env"
    # Six of the timer's own starts in an hour, and those that follow a failure.
    assert service["Unit"]["StartLimitBurst"] == "10"
    assert values(root / "systemd" / "dango-project@issues.timer")["Timer"]["RandomizedDelaySec"] == "60s"


def test_where_a_destination_is_another_file_the_whole_folder_can_be_written(root: Path, write: Write) -> None:
    write({"sources": EMBEDDED.replace("sources:", "destinations: {d: {type: duckdb, credentials: x.db}}\nsources:")})
    assert systemd._written(Project(root), systemd.tasks(Project(root), "@daily")) == [root / ".dango", root / "data"]
    write({"sources": EMBEDDED.replace("sources:", DUCKDB)})
    assert systemd._written(Project(root), systemd.tasks(Project(root), "@daily")) == [root]


DUCKDB = "destination: d\ndestinations: {d: {type: duckdb, credentials: x.db}}\nsources:"


def test_every_timer_has_its_times_and_one_for_each_kind_of_day(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write(FILES)
    assert dango("export", "systemd").code == 0
    found = {}
    for source in TIMES:
        lines = (root / "systemd" / f"dango-project@{source}.timer").read_text().splitlines()
        found[source] = [line.partition("=")[2] for line in lines if line.startswith("OnCalendar=")]
    assert found == {
        "shop": ["Mon,Tue,Wed,Thu,Fri *-*-* 9:0:00 UTC"],
        "issues": ["*-*-* 0/6:15:00 UTC"],
        "issues_of_tools": ["*-*-1,15 6:30:00 UTC", "Sun *-*-* 6:30:00 UTC"],
    }


def test_secrets_are_files_that_only_root_reads(dango: Callable[..., Said], root: Path, write: Write) -> None:
    write(FILES)
    said = dango("export", "systemd", "--json").json
    assert said["commands"][:2] == [
        "sudo install -d -m 700 /etc/dango-project",
        "sudo install -m 600 /dev/null " + " ".join(f"/etc/dango-project/{source}.env" for source in TIMES),
    ]
    assert said["notes"][1] == "/etc/dango-project/issues.env: SOURCES__ISSUES__TOKEN=… LAKE_URL=… ANYONES=…"
    write({"sources": EMBEDDED, ".dlt/secrets.toml": "", ".env": ""})
    assert dango("export", "systemd", "--force", "--json").json["commands"][0] == f"mkdir -p {root}/data"


@pytest.mark.parametrize("name", ["a\\", "a "])
def test_a_folder_whose_name_systemd_would_cut_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name / ".dango").mkdir(parents=True)
    (tmp_path / name / ".dango" / "sources.yml").write_text(EMBEDDED)
    with pytest.raises(systemd.UsageError, match="ends with what systemd takes for its own"):
        systemd.export(Project(tmp_path / name), ["dango"], "me", "@daily")
