"""What is read of other tools' files: which tool's one is, references, secrets, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dango.errors import DangoError, UsageError
from dango.imports import formats, getdango
from dango.imports.found import Imported
from dango.registry.entries import Registry

Read = Callable[..., Imported]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a text as a file of that name."""

    def read(text: str, name: str = "file.yml", kind: str = "", folder: str = "") -> Imported:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return formats.read(path, name, folder, kind)

    return read


def only(imported: Imported) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one source of a file, and its secrets."""
    (carried,) = imported.sources
    return carried.made.item, carried.made.secrets


def named(imported: Imported) -> dict[str, str]:
    return {note.path: note.what for note in imported.notes}


BAD = {
    "list.yml": ("- a\n", "list.yml:1:1: this should be a mapping"),
    "empty.yml": ("", "empty.yml:1:1: the file is empty"),
    "broken.toml": ("[sources.a]\nname = 'a\n", "broken.toml:2:9: this is not TOML from here on"),
    "twice.toml": ("[sources.a]\nname = 'a'\nname = 'b'\n", "twice.toml:3:1: this key or section is there already"),
    "unknown.yml": ("services: {web: {}}\n", "unknown.yml is of no tool whose files are read"),
    "shape.yml": ("plugins: {extractors: {name: a}}\n", "shape.yml:1:11: `plugins.extractors` should be a list"),
    "nameless.yml": ("plugins:\n  extractors:\n    - {}\n", "nameless.yml:3:7: `plugins.extractors[0]` has no `name`"),
    "loop.yml": (
        "plugins: {extractors: [{name: a, inherit_from: b}, {name: b, inherit_from: a}]}\n",
        "loop.yml:1:62: `plugins.extractors[1].inherit_from` leads back to the plugin itself",
    ),
    "twice.yml": (
        "plugins: {extractors: [{name: a}, {name: a}]}\n",
        "twice.yml:1:36: `plugins.extractors[1].name` is the name of another plugin",
    ),
    "scalar.yml": (
        "source: {type: [a], config: {}}\n",
        "scalar.yml:1:10: `source.type` should be text, this is a list",
    ),
    "flow.toml": (
        "[sources.a]\nname = 'x'\n[[flows]]\nfrom = 'a'\nto = 'b'\n",
        "flow.toml:5:1: `flows[0].to` names none of `destinations`",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_told_at_its_place(read: Read, name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(DangoError) as caught:
        read(text, name)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("plugins: {}", "meltano"),
        ("default_environment: dev", "meltano"),
        ("source: {type: file}", "datahub"),
        ("source: {type: file, serviceName: x, serviceConnection: {config: {sourcePythonClass: a.B}}}", "openmetadata"),
        ("sources: {}", "vdk"),
        ("sources: []", "getdango"),
    ],
)
def test_which_tool_a_file_is_of_its_content_says(read: Read, text: str, kind: str) -> None:
    assert read(text).format == kind


def test_a_file_that_may_be_of_two_tools_is_read_as_it_is_said_to_be(read: Read) -> None:
    text = "plugins: {}\nsource: {type: file}\n"
    with pytest.raises(UsageError, match="may be of meltano or datahub") as caught:
        read(text)
    assert "--from datahub: a recipe of DataHub" in caught.value.hint
    imported = read(text, kind="datahub")
    assert (only(imported)[0]["datahub"], "plugins" in named(imported)) == ({"connector": "file"}, True)


def test_references_to_the_environment_become_dangos(read: Read) -> None:
    imported = read(
        "source:\n  type: x\n  config:\n    bare: $A_1\n    braced: ${B}\n    tagged: !ENV C\n"
        "    both: !ENV ${D}\n    other: !secret E\n    default: ${F:-f}\n    part: a-${G}-b\n"
        "    cost: 5$\n    pattern: ^x$\n    literal: env:H\n    deep: [{a: $I}]\n"
    )
    item, secrets = only(imported)
    assert secrets == {}
    assert item["datahub"]["config"] == {
        "bare": "env:A_1", "braced": "env:B", "tagged": "env:C", "both": "env:D", "other": "E", "default": "env:F",
        "part": "env:X_PART", "cost": "5$", "pattern": "^x$", "literal": "env::H", "deep": [{"a": "env:I"}],
    }  # fmt: skip
    told = named(imported)
    assert {key.rpartition(".")[2] for key in told} == {"type", "other", "default", "part"}
    assert "the tag !secret means nothing here" in told["source.config.other"]


def test_where_a_tool_reads_no_environment_a_dollar_is_one(read: Read) -> None:
    item, _ = only(read("[sources.a]\nname = 'git'\nconfig = {pattern = '$HOME'}\n", "c.toml"))
    assert item["vdk"]["config"] == {"pattern": "$HOME"}
    assert item["environment"]["requirements"] == ["vdk-data-sources", "vdk-data-source-git", "setuptools<80"]


def test_a_secret_in_the_clear_is_put_apart_and_what_refers_to_one_is_not(read: Read) -> None:
    imported = read(
        "source:\n  type: x\n  config:\n    password: hunter2\n    pin: {token: 1234}\n    api_key: $KEY\n"
        "    uri: postgresql://me:hunter3@db/x\n    dbs: [{name: a, password: p, key: $K}, {name: 'keyring:b'}]\n"
        "    holes: [{password: p}, null]\n    auth: {}\n    secret: ''\n    keep: {user: me, secret: s}\n"
    )
    item, secrets = only(imported)
    assert item["datahub"]["config"] == {"api_key": "env:KEY", "auth": {}, "secret": "", "keep": {"user": "me"}}
    assert secrets["secrets"] == {
        "password": "hunter2", "pin": {"token": 1234}, "uri": "postgresql://me:hunter3@db/x", "keep": {"secret": "s"},
        "dbs": [{"name": "a", "password": "p", "key": "env:K"}, {"name": "keyring::b"}],
    }  # fmt: skip
    assert "which secrets.toml cannot hold" in named(imported)["source.config.holes"]


def test_names_are_made_valid_and_no_two_are_alike(read: Read) -> None:
    extractors = ", ".join(f"{{name: {name}, pip_url: x}}" for name in ("Tap A", "tap-a", "tap_a", "'1'", "'!'"))
    imported = read(f"plugins: {{extractors: [{extractors}]}}")
    assert [each.name for each in imported.sources] == ["tap_a", "tap_a_2", "tap_a_3", "s_1", "my_source"]
    assert [each.was for each in imported.sources] == ["Tap A", "tap-a", "tap_a", "1", "!"]


def test_a_password_in_an_address_to_install_from_is_not_carried(read: Read) -> None:
    text = "plugins: {extractors: [{name: t, pip_url: 'git+https://ghp_abc@github.com/a/b tap-c'}]}"
    imported = read(text)
    assert only(imported)[0]["environment"] == {"requirements": ["tap-c"]}
    assert "a password in what is to be installed" in named(imported)["plugins.extractors[0].pip_url"]


def test_fields_of_getdango_are_fields_of_dangos_own_sources(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry", tmp_path / "cache")
    for kind, fields in getdango.FIELDS.items():
        known = {spec.name for spec in registry.entry(kind).fields}
        assert set(fields.values()) <= known, kind


def test_an_unknown_key_is_named_as_a_whole_and_its_known_neighbours_are_carried(read: Read) -> None:
    imported = read("plugins:\n  extractors:\n    - name: t\n      pip_url: t\n      typo: {a: {b: 1}}\nmore: [1, 2]\n")
    assert [(note.place, note.path) for note in imported.notes] == [
        ("file.yml:5:7", "plugins.extractors[0].typo"), ("file.yml:6:1", "more"),
    ]  # fmt: skip


def test_settings_of_meltano_are_put_over_each_other_and_dots_lead_deeper(read: Read) -> None:
    imported = read("""\
default_environment: dev
environments:
  - name: dev
    config: {plugins: {extractors: [{name: t, select: [a.*], config: {c: from dev, login.user: me}}]}}
plugins:
  extractors:
    - name: base
      pip_url: base
      settings: [{name: a, value: default}, {name: b, value: default}, {name: d, kind: password}]
      config: {b: from base, c: from base, login.token: hidden, d: gone}
    - {name: t, inherit_from: base, config: {c: from t, d: $D, file: $MELTANO_PROJECT_ROOT/a/b.json}}
""")
    made = {each.name: each.made for each in imported.sources}
    assert made["t"].item["singer"] == {
        "tap": "base",
        "config": {
            "a": "default", "b": "from base", "d": "env:D", "file": "./a/b.json", "c": "from dev",
            "login": {"user": "me"},
        },
    }  # fmt: skip
    assert made["t"].secrets == {"secrets": {"login": {"token": "hidden"}}}
    assert made["base"].secrets == {"secrets": {"login": {"token": "hidden"}, "d": "gone"}}
    assert named(imported) == {
        "environments[0].config.plugins.extractors[0].select": "what an environment says otherwise",
    }


def test_an_environment_that_is_not_there_and_one_that_is_not_the_default_are_named(read: Read) -> None:
    imported = read("default_environment: dev\nenvironments: [{name: prod, env: {A: b}}]\n")
    assert named(imported) == {
        "default_environment": "no environment of this name stands here",
        "environments[0]": "an environment that is not the default one",
    }


def test_what_pip_is_told_besides_requirements_is_named(read: Read) -> None:
    text = "-e ./taps/a --extra-index-url https://pypi.example/simple 'tap-b @ https://x.example/b.whl' tap-c[all]<2"
    item, _ = only(imported := read(f'plugins: {{extractors: [{{name: t, pip_url: "{text}"}}]}}', folder="old"))
    assert item["environment"] == {
        "allow_urls": True, "requirements": ["./old/taps/a", "tap-b@https://x.example/b.whl", "tap-c[all]<2"],
    }  # fmt: skip
    assert [note.what for note in imported.notes] == [
        "an option of pip, a variable or a password in what is to be installed",
        "it is fetched from an address, which `allow_urls: true` says is meant",
    ]


def test_a_name_with_dots_that_leads_nowhere_stays_as_it_is(read: Read) -> None:
    item, _ = only(read("plugins: {extractors: [{name: t, pip_url: t, config: {x.b: 1, x: {c: 2}, y: 3, y.z: 4}}]}"))
    assert item["singer"]["config"] == {"x": {"c": 2, "b": 1}, "y": 3, "y.z": 4}


def test_how_a_stream_is_read_is_carried_where_it_is_said_whole(read: Read) -> None:
    streams = "a: {replication-method: INCREMENTAL}, b: {replication-method: INCREMENTAL, replication-key: k}"
    imported = read(f"plugins: {{extractors: [{{name: t, pip_url: t, metadata: {{{streams}}}}}]}}")
    assert only(imported)[0]["singer"]["replication"] == {"b": {"method": "INCREMENTAL", "key": "k"}}
    assert list(named(imported)) == ["plugins.extractors[0].metadata.a.replication-method"]


def test_a_workflow_of_openmetadata_that_is_not_the_usual_one_is_carried_whole(read: Read) -> None:
    text = (
        "source:\n  type: customDatabase\n  serviceName: s\n"
        "  serviceConnection: {config: {type: CustomDatabase, sourcePythonClass: a.B}}\n"
        "  sourceConfig: {config: {type: KIND}}\n"
    )
    assert "workflow" not in only(read(text.replace("KIND", "DatabaseMetadata")))[0]["openmetadata"]
    item, _ = only(read(text.replace("KIND", "DatabaseLineage")))
    assert item["openmetadata"]["workflow"] == {"sourceConfig": {"config": {"type": "DatabaseLineage"}}}
