"""`dango export airflow`: Airflow's own parser reads the file, and its tasks end as the command does."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dango import environments
from tests.conftest import Said
from tests.exporting.world import FILES, NEEDED, TIMES, many

Write = Callable[[Mapping[str, str]], None]

READER = Path(__file__).with_name("in_airflow.py")
PROGRAM = """\
#!/bin/sh
echo "$@ in $PWD" >> "$0.calls"
env | grep -E '^(LAKE_URL|SHOP_HINT|ANYONES|GITHUB_TOKEN)=' | sort >> "$0.calls"
code="$(cat "$AIRFLOW_HOME/code")"
[ "$code" = never ] || exit "$code"
echo $$ > "$0.pid"
exec sleep 60
"""


@pytest.fixture(scope="module", params=["apache-airflow==2.10.5", "apache-airflow==3.3.2"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing but that Airflow."""
    own = (str(request.param),)
    asked = environments.Wanted(tmp_path_factory.mktemp("airflow") / "environment", own, "", own, (), of_worker=False)
    environments.build(asked, print)
    return asked.interpreter


def read(python: Path, dags: Path, *codes: str, home: Path, env: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [python, "-W", "error::DeprecationWarning:unusual_prefix", READER, dags, *codes],
        cwd=home, env={**kept, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **env},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_it_is_python_that_says_where_things_are(
    dango: Callable[..., Said], tmp_path: Path, write: Write, root: Path
) -> None:
    folder = tmp_path / 'It\'s a "shop" {x} 100% é \\'
    write(FILES)
    root.rename(folder)
    said = dango("export", "airflow", "--json", cwd=folder)
    assert said.code == 0, said.err
    (file,) = said.json["files"]
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert values["PROJECT"] == str(folder)
    assert values["SOURCES"] == {name: {"schedule": TIMES[name], "secrets": needed} for name, needed in NEEDED.items()}
    assert all(key == values["SECRET"] + name for key, name in said.json["secrets"].items())


@pytest.mark.slow
def test_airflow_reads_it_and_tries_again_what_may_end_otherwise(
    python: Path, dango: Callable[..., Said], root: Path, tmp_path: Path, write: Write
) -> None:
    write(FILES)
    said = dango("export", "airflow", "--json")
    (file,) = map(Path, said.json["files"])
    program = tmp_path / "a program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    text = file.read_text()
    (call,) = (line for line in text.splitlines() if line.startswith("DANGO = "))
    file.write_text(text.replace(call, f"DANGO = {[str(program)]}"))
    home = tmp_path / "home"
    home.mkdir()
    # Where Airflow looks for Variables first.
    env = {f"AIRFLOW_VAR_{key.upper()}": f"of {name}" for key, name in said.json["secrets"].items()}
    found = read(python, file.parent, "0", "1", "2", "3", "4", "5", "never", home=home, env=env)

    assert (found["errors"], found["warnings"]) == ([], [])
    assert {name.removeprefix("dango_project_"): dag["timetable"] for name, dag in found["dags"].items()} == TIMES
    for name, dag in found["dags"].items():
        source = name.removeprefix("dango_project_")
        assert dag == {
            "timetable": TIMES[source], "timezone": "UTC", "catchup": False, "max_active_runs": 1, "retries": 3,
            "pauses": [60.0, 1800.0], "backoff": True, "timeout": 21600.0, "given": [source, NEEDED[source]],
        }  # fmt: skip
    assert {code: ended.partition(":")[0] for code, ended in found["endings"].items()} == {
        "0": "", "1": "RuntimeError", "2": "AirflowFailException", "3": "RuntimeError",
        "4": "RuntimeError", "5": "AirflowFailException", "never": "TimeoutError",
    }  # fmt: skip
    calls = Path(f"{program}.calls").read_text().splitlines()
    assert calls[: len(calls) // 7] == [
        f"sync issues --wait 600 in {root}", *sorted(f"{name}=of {name}" for name in ("ANYONES", "LAKE_URL")),
    ]  # fmt: skip
    # Nobody is left behind by a task that took too long.
    pid, deadline = int(Path(f"{program}.pid").read_text()), time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_airflow_reads_two_hundred_sources(
    python: Path, dango: Callable[..., Said], root: Path, tmp_path: Path, write: Write
) -> None:
    write({"sources": many(200)})
    assert dango("export", "airflow").code == 0
    found = read(python, root / "dags", home=tmp_path, env={})
    assert (found["errors"], len(found["dags"])) == ([], 200)
