"""`dango export github-actions`: the published schema takes the workflow, and a job sees its source's secrets alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dango.exporting import github_actions
from dango.project import Project
from tests.conftest import Said
from tests.exporting.programs import run
from tests.exporting.world import FILES, NEEDED, TIMES, many

Write = Callable[[Mapping[str, str]], None]

ON = True
"""What YAML 1.1 makes of `on`; GitHub reads 1.2."""


def workflow(folder: Path) -> Any:
    return yaml.safe_load((folder / ".github" / "workflows" / "dango.yml").read_text(encoding="utf-8"))


def starts(job: Any, schedule: str | None, chosen: str | None) -> bool:
    """Whether GitHub would run the job: its condition is comparisons with `||` between them."""
    given = {"github.event.schedule": schedule, "inputs.source": chosen}
    return any(given[left] == right for left, right in re.findall(r"([\w.]+) == '([^']*)'", job["if"]))


def test_a_job_for_each_source_with_its_own_secrets(dango: Callable[..., Said], root: Path, write: Write) -> None:
    write(FILES)
    said = dango("export", "github-actions", "--json")
    assert said.code == 0, said.err
    made = workflow(root)
    assert made["permissions"] == {"contents": "read"}
    assert made[ON]["schedule"] == [{"cron": time} for time in TIMES.values()]
    assert made[ON]["workflow_dispatch"]["inputs"]["source"]["options"] == ["every source", *TIMES]
    names = {variable: key for key, variable in said.json["secrets"].items()}
    # GitHub knows no lower case, and keeps names that begin with its own to itself.
    assert (names["shop_token"], names["GITHUB_TOKEN"]) == ("SHOP_TOKEN", "DANGO_GITHUB_TOKEN")
    for source, job in made["jobs"].items():
        *before, sync = job["steps"]
        assert sync["env"] == {name: f"${{{{ secrets.{names[name]} }}}}" for name in NEEDED[source]}
        assert not any("env" in step for step in (*before, job, made))
        assert f"dango sync {source} --wait 600" in sync["run"]
        assert job["concurrency"] == {"group": f"dango-project-{source}", "cancel-in-progress": False}
    assert list(made["jobs"]) == list(TIMES)


def test_what_starts_a_job(dango: Callable[..., Said], root: Path, write: Write) -> None:
    write({**FILES, "sources": FILES["sources"].replace("30 6 1,15 * SUN", "0 9 * * 1-5")})
    assert dango("export", "github-actions").code == 0
    jobs = workflow(root)["jobs"]
    started = {time: [name for name, job in jobs.items() if starts(job, time, None)] for time in TIMES.values()}
    assert started == {"0 9 * * 1-5": ["shop", "issues_of_tools"], "15 */6 * * *": ["issues"], "30 6 1,15 * 0": []}
    assert [name for name, job in jobs.items() if starts(job, None, "every source")] == list(TIMES)
    assert [name for name, job in jobs.items() if starts(job, None, "issues")] == ["issues"]


def test_names_that_differ_in_nothing_but_case_are_two_secrets(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write({"sources": SERVER.format(sources=native("a", "env:key", "env:KEY", "env:Key"))})
    said = dango("export", "github-actions", "--json")
    assert said.json["secrets"] == {"KEY": "key", "KEY_": "KEY", "KEY__": "Key"}
    env = workflow(root)["jobs"]["a"]["steps"][-1]["env"]
    assert list(env) == ["key", "KEY", "Key"]
    assert len(set(env.values())) == 3


def test_sources_named_like_words_of_yaml(dango: Callable[..., Said], root: Path, write: Write) -> None:
    names = ["y", "no", "on", "true", "null", "jobs", "if"]
    write({"sources": SERVER.format(sources="".join(native(name) for name in names))})
    assert dango("export", "github-actions").code == 0
    made = workflow(root)
    assert list(made["jobs"]) == names
    assert made[ON]["workflow_dispatch"]["inputs"]["source"]["options"] == ["every source", *names]


@pytest.mark.parametrize(
    ("schedule", "minutes"), [("* * * * *", 1), ("*/7 * * * *", 4), ("0,58 * * * *", 2), ("*/5 * * * *", 0)]
)
def test_what_github_would_not_start_so_often_is_refused(schedule: str, minutes: int, root: Path, write: Write) -> None:
    write({"sources": SERVER.format(sources=native("a"))})
    if not minutes:
        github_actions.export(Project(root), root, schedule)
        return
    with pytest.raises(github_actions.UsageError) as raised:
        github_actions.export(Project(root), root, schedule)
    assert raised.value.message.startswith(
        f"`a`: `{schedule}` starts {minutes} min after it last did, and GitHub starts"
    )


def test_a_project_inside_a_repository_has_its_workflow_at_the_top(
    dango: Callable[..., Said], hostile: Callable[..., Path]
) -> None:
    folder = hostile(FILES)
    (folder.parent / ".git").mkdir()
    said = dango("export", "github-actions", "--json", cwd=folder)
    assert said.json["files"] == [str(folder.parent / ".github" / "workflows" / "dango.yml")]
    where = workflow(folder.parent)["defaults"]["run"]["working-directory"]
    # As GitHub evaluates it.
    assert where.replace("${{ '${{' }}", "${{") == folder.name
    assert re.findall(r"\$\{\{(?! '\$\{\{' \}\})", where.replace("${{ '${{' }}", "")) == []


def test_what_the_project_requires_is_installed(dango: Callable[..., Said], root: Path, write: Write) -> None:
    environment = "environment: {requirements: [requests], python: '3.12'}"
    write({
        "sources": SERVER.format(sources=native("a").replace("type:", f"{environment}, type:")),
        "requirements.txt": "pandas>=2\n",
    })  # fmt: skip
    assert dango("export", "github-actions").code == 0
    install = workflow(root)["jobs"]["a"]["steps"][2]["run"]
    assert re.fullmatch(r"pip install '?dango\[postgres\](==[\d.]+)?'? uv -r requirements.txt", install)


@pytest.mark.slow
def test_the_published_schema_takes_it(dango: Callable[..., Said], hostile: Callable[..., Path], schemas: Path) -> None:
    folder = hostile(FILES)
    (folder.parent / ".git").mkdir()
    assert dango("export", "github-actions", cwd=folder).code == 0
    many_ = hostile({"sources": many(200)}, "many/a")
    assert dango("export", "github-actions", "--output", str(many_), cwd=many_).code == 0
    files = [each / ".github" / "workflows" / "dango.yml" for each in (folder.parent, many_)]
    check = (schemas / "check-jsonschema", "--builtin-schema", "vendor.github-workflows")
    done = run(*check, *files)
    assert done.returncode == 0, done.stdout
    files[0].write_text(files[0].read_text().replace("runs-on:", "run-on:"))
    assert run(*check, files[0]).returncode == 1


SERVER = "version: 1\ndestination: lake\ndestinations: {{lake: {{type: postgres}}}}\nsources:\n{sources}"


def native(name: str, *values: str) -> str:
    block = {
        "source_module": "m", "source_function": "f",
        "function_kwargs": {f"v{nth}": value for nth, value in enumerate(values)},
    }  # fmt: skip
    return f"  - {{name: {json.dumps(name)}, type: dlt_native, dlt_native: {json.dumps(block)}}}\n"
