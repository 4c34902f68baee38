"""`dango import`, as a user types it: what it writes, what it says, and what it does not do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dango.secrets import parse_toml
from tests.conftest import Said
from tests.connectors.taps import TAP

FILES = Path(__file__).parent / "files"
Dango = Callable[..., Said]
Write = Callable[[Mapping[str, str]], None]

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
)
EMPTY = "# Ours.\nversion: 1\nsources: []  # none yet\n"
LOCAL = """\
version: 1
plugins:
  extractors:
    - name: tap-shop
      executable: python taps/tap.py
      config:
        account: 7
        token: Q7secretQ7
        auth: {user: $SHOP_USER, client_secret: Q8secretQ8}
      select: [orders.*, people.*]
      metadata:
        people: {replication-method: FULL_TABLE}
  loaders:
    - name: target-duckdb
      config: {filepath: out/rows.duckdb}
"""


@pytest.fixture
def project(root: Path, write: Write) -> Callable[[str], Path]:
    """Copies one of the files into an empty project."""
    write({"sources": EMPTY})

    def project(name: str) -> Path:
        return Path(shutil.copy(FILES / name, root / name))

    return project


def stored(root: Path) -> dict[str, Any]:
    return {each["name"]: each for each in yaml.safe_load((root / ".dango/sources.yml").read_text())["sources"]}


def secrets(root: Path) -> Any:
    return parse_toml((root / ".dlt/secrets.toml").read_text(), "secrets.toml")


@pytest.mark.slow
def test_a_tap_of_meltano_loads_rows_after_one_command(dango: Dango, root: Path, write: Write) -> None:
    write({"sources": EMPTY, "taps/tap.py": TAP, "meltano.yml": LOCAL, ".env": "SHOP_USER=ann\n"})
    said = dango("import", "meltano.yml")
    assert said.code == 0, said.err
    assert "Q7secretQ7" not in said.out + said.err + (root / ".dango/sources.yml").read_text()
    assert (root / ".dango/sources.yml").read_text().startswith("# Ours.\nversion: 1\nsources:")
    assert stored(root)["tap_shop"]["singer"]["config"] == {"account": 7, "auth": {"user": "env:SHOP_USER"}}
    assert secrets(root)["sources"]["tap_shop"]["secrets"]["auth"] == {"client_secret": "Q8secretQ8"}
    assert (root / ".dlt/secrets.toml").stat().st_mode & 0o777 == 0o600
    assert "\nnext:\n  dango check\n  dango sync tap_shop\n" in said.out
    said = dango("check")
    assert (said.code, said.out) == (0, "1 of 1 sources are well\n"), said.err
    (root / "out").mkdir()
    said = dango("sync", "tap_shop", env={"ROWS": "8"})
    assert said.code == 0, said.err
    query = ("query", "select count(*) from raw_tap_shop.orders", "--destination", "target_duckdb", "--format", "csv")
    assert dango(*query).out.split()[-1] == "8"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("meltano_small.yml", 1),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("datahub_small.yml", 1), ("datahub_class.toml", 1), ("openmetadata_custom.yml", 1),
                ("vdk_small.toml", 1), ("vdk_tap.toml", 1), ("getdango_odd.yml", 3),
            )
        ),
    ],
)  # fmt: skip
def test_what_is_written_is_well_and_importing_it_again_doubles_nothing(
    dango: Dango, root: Path, project: Callable[[str], Path], name: str, count: int
) -> None:
    project(name)
    assert dango("import", name).code == 0
    (root / "csv").mkdir()
    env = {"MSSQL_PASSWORD": "x", "UNIT_ID": "x", "SHOP_REGION": "x"}
    said = dango("check", env=env)
    assert (said.code, said.out) == (0, f"{count} of {count} sources are well\n"), said.err
    assert not (root / ".dango/environments").exists()

    files = [root / ".dango/sources.yml", root / ".dlt/secrets.toml"]
    before = [file.exists() and file.read_text() for file in files]
    said = dango("import", name)
    assert said.code == 0
    assert said.out.count("is in .dango/sources.yml already, and is left as it is") >= count
    assert [file.exists() and file.read_text() for file in files] == before


def test_a_large_project_is_carried_with_its_destinations_and_flows(
    dango: Dango, root: Path, project: Callable[[str], Path]
) -> None:
    project("meltano_large.yml")
    said = dango("import", "meltano_large.yml", "--json").json
    assert (said["format"], said["written"], said["exit_code"], said["refused"]) == ("meltano", True, 0, [])
    assert said["sources"][3] == {
        "name": "tap_mine", "type": "singer", "was": "Tap Mine!", "place": "meltano_large.yml:99:7",
    }  # fmt: skip
    assert said["unset"] == [
        "TAP_SHOP_BASE_URL", "SHOP_USER", "SHOP_REGION", "TAP_SHOP_WHOLESALE_BASE_URL", "WHOLESALE_SELLER",
    ]  # fmt: skip
    sources = stored(root)
    assert sources["tap_shop"]["destination"] == sources["tap_postgres"]["destination"] == "target_postgres"
    assert "destination" not in sources["tap_shop_wholesale"]
    assert sources["tap_shop"]["environment"]["python"] == "3.12"
    assert sources["tap_mine"]["singer"] == {"tap": "./taps/mine.sh"}
    assert secrets(root)["sources"]["tap_mine"]["secrets"]["places"] == [
        {"name": "north", "token": "NorthT0ken"}, {"name": "south", "token": "SouthT0ken"},
    ]  # fmt: skip
    assert secrets(root)["destination"]["target_postgres"]["credentials"] == {"password": "L0aderPass"}


def test_a_trial_writes_nothing_and_shows_what_would_change(
    dango: Dango, root: Path, project: Callable[[str], Path]
) -> None:
    project("vdk_large.toml")
    said = dango("import", "vdk_large.toml", "--dry-run")
    assert said.code == 0
    assert "+  - name: pages\n" in said.out
    assert "W1kiToken" not in said.out
    assert (root / ".dango/sources.yml").read_text() == EMPTY
    assert not (root / ".dlt").exists()


def test_sources_that_cannot_be_run_are_named_and_the_exit_code_says_so(
    dango: Dango, root: Path, project: Callable[[str], Path]
) -> None:
    project("openmetadata_builtin.yml")
    said = dango("import", "openmetadata_builtin.yml")
    assert said.code == 1
    assert "openmetadata_builtin.yml:1:1: source: `mysql` is a connector of OpenMetadata's own" in said.out
    assert (root / ".dango/sources.yml").read_text() == EMPTY
    project("getdango_large.yml")
    said = dango("import", "getdango_large.yml", "--json")
    assert (said.code, said.json["refused"]) == (3, ["sheets"])
    assert "dango source fetch google_sheets" in said.out
    assert any("`zendesk` needs `email`, `token`" in note["what"] for note in said.json["notes"])
    assert len(stored(root)) == 8


def test_a_source_that_would_be_none_is_named_and_the_others_are_stored(dango: Dango, root: Path, write: Write) -> None:
    write({"sources": EMPTY, "meltano.yml": "plugins: {extractors: [{name: a, pip_url: 'a ='}, {name: b}]}\n"})
    said = dango("import", "meltano.yml")
    assert said.code == 3
    assert "meltano.yml:1:24: plugins.extractors[0]: it is no source as it stands: `a`" in said.out or "`=`" in said.out
    assert list(stored(root)) == ["b"]


def test_a_variable_of_a_destination_that_is_not_set_is_told(
    dango: Dango, root: Path, project: Callable[[str], Path]
) -> None:
    project("meltano_odd.yml")
    said = dango("import", "meltano_odd.yml", "--dry-run", "--json").json
    assert (said["unset"], said["written"]) == (["PG_URL"], False)
    assert "  my_pg: {type: postgres, credentials: env:PG_URL}" in said["diff"]


def test_a_file_elsewhere_keeps_its_paths(dango: Dango, root: Path, write: Write) -> None:
    text = "plugins: {extractors: [{name: t, executable: ./taps/t, pip_url: -e ./taps/pkg}]}\n"
    write({"sources": EMPTY, "old/meltano.yml": text})
    said = dango("import", "old/meltano.yml")
    assert said.code == 0, said.err
    source = stored(root)["t"]
    assert (source["singer"]["tap"], source["environment"]["requirements"]) == ("./old/taps/t", ["./old/taps/pkg"])
    assert "old/meltano.yml:1:1: settings: what is a relative path in them begins in the project's folder" in said.out


@pytest.mark.parametrize("name", ["tab.yml", "bomb.yml"])
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_written(
    dango: Dango, root: Path, write: Write, name: str
) -> None:
    text = {"tab.yml": "plugins:\n\textractors: []\n", "bomb.yml": BOMB}[name]
    message = {"tab.yml": "tab.yml:2:1: a tab", "bomb.yml": "its aliases stand for more than"}[name]
    write({"sources": EMPTY, name: text})
    said = dango("import", name)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert (root / ".dango/sources.yml").read_text() == EMPTY


def test_what_is_no_format_or_no_file_or_no_project_is_told(dango: Dango, root: Path, write: Write) -> None:
    write({"meltano.yml": "plugins: {}\n"})
    said = dango("import", "meltano.yml", cwd=root)
    assert said.code == 2
    assert "`dango init` makes one here" in said.err
    write({"sources": EMPTY})
    said = dango("import", "meltano.yml", "--from", "meltan")
    assert (said.code, "did you mean `meltano`?" in said.err) == (2, True)
    assert "no such file" in dango("import", "nowhere.yml").err.lower()
    # By the option a file that could be of any tool is read as what it is said to be.
    said = dango("import", "meltano.yml", "--from", "meltano")
    assert said.code == 1
    assert "a meltano.yml, with 0 sources" in said.out


def test_where_one_file_cannot_be_written_the_other_is_as_it_was(dango: Dango, root: Path, write: Write) -> None:
    write({"sources": EMPTY, "meltano.yml": LOCAL})
    (root / ".dango/sources.yml").chmod(0o400)
    said = dango("import", "meltano.yml")
    assert said.code == 1
    assert "read-only" in said.err
    assert not (root / ".dlt/secrets.toml").exists()
    assert (root / ".dango/sources.yml").read_text() == EMPTY
