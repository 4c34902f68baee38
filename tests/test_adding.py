"""A source that is added or changed: all of it is stored or nothing, and a draft holds no secret."""

from __future__ import annotations

import datetime as dt
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dango.adding import Draft, change, custom_files, found_elsewhere, save
from dango.answers import Made
from dango.errors import ConfigError, DangoError, UsageError
from dango.project import Project

TEXT = """\
version: 1
sources:
  # The first.
  - {name: first, type: dlt_native, dlt_native: {source_module: a, source_function: b, function_kwargs: {token: t0psecret}}}
"""  # noqa: E501
SECRETS = '# mine\n[sources.first]\nkey = "s3cr3t"  # old\n'
GITHUB = {"name": "gh", "type": "github", "github": {"owner": "o", "repo": "r"}}


@pytest.fixture
def project(root: Path, write: Callable[..., None]) -> Project:
    write({"sources": TEXT, ".dlt/secrets.toml": SECRETS})
    return Project(root)


def files(project: Project) -> tuple[str, str]:
    return (project.root / ".dango/sources.yml").read_text(), (project.root / ".dlt/secrets.toml").read_text()


def test_a_source_and_its_secrets_are_stored_and_all_else_stays(project: Project) -> None:
    made = change(project, Made(GITHUB, {"token": "ghp_x"}))
    assert files(project) == (TEXT, SECRETS)
    save(made)
    sources, secrets = files(project)
    assert sources.startswith(TEXT)
    assert sources.endswith("  - name: gh\n    type: github\n    github: {owner: o, repo: r}\n")
    assert secrets == SECRETS + '\n[sources.gh]\ntoken = "ghp_x"\n'
    assert stat.S_IMODE((project.root / ".dlt/secrets.toml").stat().st_mode) == 0o600
    assert Project(project.root).source("gh").block == {"owner": "o", "repo": "r"}


def test_the_diff_shows_no_secret_that_stands_around(project: Project) -> None:
    made = change(project, Made(GITHUB, {"token": "ghp_x"}))
    assert "+  - name: gh" in made.diff
    assert "token: ***" in made.diff
    assert "t0psecret" not in made.diff + repr(made.secrets)
    assert made.secrets == ("token",)


def test_a_source_that_would_break_the_configuration_is_not_stored(project: Project) -> None:
    with pytest.raises(ConfigError, match="first"):
        change(project, Made({**GITHUB, "name": "first"}, {}))
    assert files(project) == (TEXT, SECRETS)


@pytest.mark.parametrize("meanwhile", [TEXT + "# by hand\n", None])
def test_a_file_that_was_changed_meanwhile_is_not_overwritten(meanwhile: str | None, project: Project) -> None:
    made = change(project, Made(GITHUB, {"token": "ghp_x"}))
    file = project.root / ".dango/sources.yml"
    file.write_text(meanwhile) if meanwhile else file.unlink()
    with pytest.raises(DangoError, match=r"sources\.yml was changed meanwhile"):
        save(made)
    assert (file.read_text() if meanwhile else None) == meanwhile
    assert (project.root / ".dlt/secrets.toml").read_text() == SECRETS


def test_secrets_that_came_meanwhile_stay(project: Project) -> None:
    made = change(project, Made(GITHUB, {"token": "ghp_x"}))
    (project.root / ".dlt/secrets.toml").write_text('[sources.other]\nkey = "new"\n')
    save(made)
    assert files(project)[1] == '[sources.other]\nkey = "new"\n\n[sources.gh]\ntoken = "ghp_x"\n'


@pytest.mark.parametrize("read_only", [".dango/sources.yml", ".dlt/secrets.toml"])
def test_where_one_file_cannot_be_written_both_are_as_they_were(read_only: str, project: Project) -> None:
    made = change(project, Made(GITHUB, {"token": "ghp_x"}))
    (project.root / read_only).chmod(0o400)
    with pytest.raises(DangoError, match="cannot be written: it is read-only"):
        save(made)
    assert files(project) == (TEXT, SECRETS)


def test_a_file_of_secrets_that_was_not_there_is_not_left_behind(project: Project) -> None:
    (project.root / ".dlt/secrets.toml").unlink()
    made = change(project, Made(GITHUB, {"token": "ghp_x"}))
    (project.root / ".dango/sources.yml").chmod(0o400)
    with pytest.raises(DangoError, match="cannot be written"):
        save(made)
    assert not (project.root / ".dlt/secrets.toml").exists()


def test_a_file_of_secrets_that_is_no_toml_is_left_alone(project: Project) -> None:
    made = change(project, Made(GITHUB, {"token": "ghp_x"}))
    (project.root / ".dlt/secrets.toml").write_text("not = toml = s3cr3t")
    with pytest.raises(ConfigError) as refused:
        save(made)
    assert "s3cr3t" not in str(refused.value)
    assert files(project) == (TEXT, "not = toml = s3cr3t")


def test_a_draft_is_kept_for_its_owner_and_forgotten(project: Project) -> None:
    draft = Draft(project, "github")
    assert draft.load() == {}
    answers = {
        "name": "gh",
        "field.day": dt.date(2024, 1, 31),
        "field.at": dt.datetime(2024, 1, 31, 12),
        "resources": [],
    }
    draft.save(answers)
    file = project.root / ".dango/draft/github.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Draft(project, "github").load() == answers
    draft.forget()
    draft.forget()
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "[1]", "{broken", "\xff"])
def test_a_draft_that_cannot_be_read_is_none(text: str, project: Project) -> None:
    draft = Draft(project, "github")
    draft.save({})
    (project.root / ".dango/draft/github.json").write_bytes(text.encode("latin-1"))
    assert draft.load() == {}


def test_what_cannot_be_kept_is_told(project: Project) -> None:
    with pytest.raises(UsageError, match="an answer of a kind that cannot be kept: set"):
        Draft(project, "github").save({"a": {1}})


def test_values_are_found_in_the_environment_and_in_files(
    project: Project, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = project.registry.entry("postgres")
    assert found_elsewhere(project, entry, "shop") == set()
    monkeypatch.setenv("SOURCES__SHOP__PASSWORD", "x")
    write({".dlt/secrets.toml": '[sources.shop]\nuser = "u"\n', ".dlt/config.toml": '[sources.shop]\nhost = "h"\n'})
    assert found_elsewhere(project, entry, "shop") == {"password", "user", "host"}
    assert found_elsewhere(project, entry, "other") == set()


def test_the_modules_of_custom_sources(root: Path, write: Callable[..., None]) -> None:
    write({"custom_sources/shop.py": "", "custom_sources/pack/__init__.py": "", "custom_sources/_mine.py": ""})
    write({"custom_sources/__init__.py": "", "custom_sources/notes.txt": ""})
    assert custom_files(Project(root)) == ["pack", "shop"]
