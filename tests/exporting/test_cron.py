"""`dango export cron`: crontab takes the lines, and a shell runs them as cron would."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dango.exporting import cron
from dango.project import Project
from tests.conftest import Said
from tests.exporting.conftest import BEARABLE
from tests.exporting.programs import required, run
from tests.exporting.world import EMBEDDED, FILES, NEEDED, TIMES, many

Write = Callable[[Mapping[str, str]], None]

SHOP = "def orders():\n    yield from ({'id': number} for number in range(3))\n"


def accepted(file: Path) -> None:
    """Holds the file to what this machine's crontab takes; nothing is installed."""
    crontab = required("crontab", "cron")
    # cronie and newer Debians call it -T; with older Debians it is -n, which in cronie is something else.
    check = "-T" if "-T" in run(crontab, "-h").stderr + run(crontab, "-h").stdout else "-n"
    # By its name alone: crontab cuts long paths.
    done = run(crontab, check, file.name, cwd=file.parent)
    assert done.returncode == 0, done.stderr


def commands(text: str) -> dict[str, tuple[str, str]]:
    """By source the schedule and the command, as cron takes them from a line."""
    found = {}
    for line in text.splitlines():
        if line and not re.match(r"#|\w+=", line):
            *fields, command = line.split(" ", 5)
            # The end of the command is a % without a backslash before it.
            assert not re.search(r"(?<!\\)%", command)
            source = re.search(r" sync (\w+) ", command)
            assert source
            found[source[1]] = (" ".join(fields), command.replace(r"\%", "%"))
    return found


def test_a_line_for_each_source_and_what_it_needs_above_it(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write(FILES)
    said = dango("export", "cron")
    assert said.code == 0, said.err
    text = (root / "dango.crontab").read_text()
    assert {source: schedule for source, (schedule, _) in commands(text).items()} == TIMES
    for source, names in NEEDED.items():
        assert f"\n# {source}: {', '.join(names)}\n{TIMES[source]} " in text
    # Before the lines, for those that come after it.
    assert "\nCRON_TZ=UTC\n" in text.partition(" * * ")[0]


def test_crontab_takes_it(dango: Callable[..., Said], hostile: Callable[..., Path]) -> None:
    folder = hostile({**FILES, "sources": many(200)})
    assert dango("export", "cron", cwd=folder).code == 0
    accepted(folder / "dango.crontab")


def test_a_line_that_is_too_long_for_cron_is_refused_and_the_longest_is_taken(root: Path, write: Write) -> None:
    write({"sources": EMBEDDED})
    project = Project(root)

    def text(length: int) -> str:
        return cron.export(project, ["/" + "x" * length], "@daily").files[cron.FILE]

    room = 998 - len(next(iter(commands(text(0)).values()))[1])
    (root / "dango.crontab").write_text(text(room))
    accepted(root / "dango.crontab")
    with pytest.raises(cron.UsageError, match=r"`shop`: its line would have more than 998 bytes"):
        text(room + 1)


def test_what_cron_would_run_syncs(dango: Callable[..., Said], hostile: Callable[..., Path], tmp_path: Path) -> None:
    folder = hostile({"sources": EMBEDDED, "custom_sources/shop.py": SHOP}, BEARABLE)
    assert dango("export", "cron", cwd=folder).code == 0
    _, command = commands((folder / "dango.crontab").read_text())["shop"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "x"}
    # cron knows nothing of the tests' own code.
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    done = run("/bin/sh", "-c", command, cwd="/", env=environment, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = folder / ".dango" / "cron.log"
    assert "shop" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert (folder / "data" / "warehouse.duckdb").exists()


def test_what_cannot_change_is_not_tried_again(
    dango: Callable[..., Said], hostile: Callable[..., Path], tmp_path: Path
) -> None:
    folder = hostile({"sources": EMBEDDED, "custom_sources/shop.py": SHOP})
    assert dango("export", "cron", cwd=folder).code == 0
    _, command = commands((folder / "dango.crontab").read_text())["shop"]
    done = run("/bin/sh", "-c", command, cwd="/", env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, timeout=50)
    assert done.returncode == 2
    assert (folder / ".dango" / "cron.log").read_text().startswith(f"error: the project's folder {folder} has a `%`")


def test_the_lines_take_the_place_of_those_of_an_earlier_export(
    dango: Callable[..., Said], root: Path, write: Write, tmp_path: Path
) -> None:
    write({"sources": EMBEDDED})
    install = dango("export", "cron", "--json").json["commands"][0]
    table = tmp_path / "table"
    table.write_text("0 1 * * * mine\n")
    fake = tmp_path / "crontab"
    fake.write_text(f"#!{sys.executable}\n" + FAKE.format(table=str(table)))
    fake.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert run("sh", "-c", install, cwd=root, env=environment).returncode == 0
    first = table.read_text()
    assert first == "0 1 * * * mine\n" + (root / "dango.crontab").read_text()
    assert run("sh", "-c", install, cwd=root, env=environment).returncode == 0
    assert table.read_text() == first


FAKE = """\
import sys

if sys.argv[1] == "-l":
    print(open({table!r}).read(), end="")
else:
    text = sys.stdin.read()
    open({table!r}, "w").write(text)
"""
