"""A `meltano.yml`: each extractor is a source, and loaders of a kind that dango knows are destinations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dango.imports import destinations, flows, selection
from dango.imports.found import Found
from dango.imports.ledger import Part, Rules
from dango.imports.plugins import Plugin, plugins
from dango.imports.settings import Reading, Settings, layered

_SINCE = "`start_date` of the tap, where it has one"

_PEOPLE = "for people, or for Meltano's own commands"
_MELTANOS = "how Meltano itself works"
_INSTALLED = "nothing of Meltano's targets is installed"
_ELSEWHERE = "not read by dango"

RULES = Rules(
    ignored={
        **dict.fromkeys(
            (
                *("version", "project_id", "requires_meltano", "send_anonymous_usage_stats", "annotations", "venv"),
                *("auto_install", "hub_api_root", "hub_url", "experimental", "ff", "snowplow", "cli", "elt"),
                *("project_readonly", "database_max_retries", "database_retry_timeout"),
            ),
            _MELTANOS,
        ),
        **{
            f"plugins.{kind}.*.{key}": _PEOPLE
            for kind in ("extractors", "loaders")
            for key in (
                *("namespace", "label", "logo_url", "docs", "repo", "ext_repo", "variant", "capabilities"),
                *("settings_group_validation", "annotations", "plugin_type", "requires_meltano", "log_parser"),
            )
        },
        "plugins.extractors.*.settings": "a tap says itself which settings it has",
        "plugins.extractors.*.use_cached_catalog": "the catalog is asked for at each sync",
        **{f"plugins.loaders.*.{key}": _INSTALLED for key in ("pip_url", "executable", "python", "settings")},
        **{f"plugins.loaders.*.{key}": _PEOPLE for key in ("description", "dialect")},
        "schedules.*.name": _PEOPLE,
    },
    left={
        "env": ("variables for all plugins", "set them in .env"),
        "include_paths": (f"other files are {_ELSEWHERE} along with this one", "dango import FILE, for each"),
        "database_uri": (f"Meltano's database of states is {_ELSEWHERE}: the first sync loads everything", _SINCE),
        "state_backend": (f"Meltano's states are {_ELSEWHERE}: the first sync loads everything", _SINCE),
        "hub_url_auth": ("Meltano's hub is not asked", "nothing"),
        "environments.*.env": ("variables for all plugins", "set them in .env"),
        "environments.*.config.plugins.*.*.*": ("what an environment says otherwise", "say it at the plugin itself"),
        "environments.*.state_id_suffix": (f"Meltano's states are {_ELSEWHERE}", "nothing"),
        "plugins.mappers": ("records are not mapped", "`processors:` of the source, or of a resource"),
        "plugins.orchestrators": ("dango runs when it is called", "cron, or what else runs things: dango sync"),
        "plugins.transformers": ("nothing is transformed after a load", "run it after `dango sync`"),
        "plugins.transforms": ("nothing is transformed after a load", "run it after `dango sync`"),
        "plugins.utilities": ("no other tools are run", "run them after `dango sync`"),
        "plugins.files": ("files of Meltano's are not copied", "nothing"),
        "plugins.extractors.*.catalog": ("the tap is asked for its catalog", "`resources:`, `replication:`"),
        "plugins.extractors.*.state": (f"the file of a state is {_ELSEWHERE}", _SINCE),
        "plugins.extractors.*.load_schema": ("tables are in the dataset `raw_NAME`", "call the source otherwise"),
        "plugins.extractors.*.schema": ("types are those that the tap tells", "`resources: {STREAM: {columns: …}}`"),
        "plugins.extractors.*.select_filter": ("streams are chosen in one place", "`resources:`"),
        "plugins.extractors.*.commands": ("commands besides a sync", "call the tap's program itself"),
        "plugins.extractors.*.requires": ("plugins that it needs", "`environment: requirements:`"),
        "plugins.extractors.*.env": ("variables for the tap", "set them in .env"),
        "plugins.loaders.*.env": ("variables for the target", "set them in .env"),
        "plugins.loaders.*.config.default_target_schema": ("tables are in the dataset `raw_NAME`", "nothing"),
        "plugins.loaders.*.config.*": ("a setting of the target", "dlt's destination has settings of its own"),
        "schedules.*.transform": ("nothing is transformed after a load", "run it after `dango sync`"),
        "schedules.*.start_date": ("dango runs when it is called", "nothing"),
        "schedules.*.env": ("variables for one schedule", "set them where the sync is called"),
        "jobs.*.env": ("variables for one job", "set them where the sync is called"),
    },
)

_HOME = "MELTANO_PROJECT_ROOT"
_SENSITIVE = ("password", "hidden")
_POSTGRES = {"host": "host", "port": "port", "username": "user", "password": "password"}
_FILES = ("target-csv", "target-jsonl", "target-parquet")


def read(root: Part, found: Found) -> None:
    """Every extractor and loader of the file.

    Raises:
        ConfigError: where a plugin has no name, or inherits from itself.
    """
    overlays = _overlays(root)
    loaders = plugins(root, "loaders")
    names = {each.name: _loader(each, overlays, found) for each in loaders.values()}
    extractors = plugins(root, "extractors")
    targets = flows.targets(root, extractors, names)
    python = root.text("python")
    for each in extractors.values():
        _extractor(each, python, overlays, targets[each.name], found)


def _overlays(root: Part) -> dict[str, Part]:
    """By a plugin's name the settings that the default environment has for it."""
    default = root.text("default_environment")
    made: dict[str, Part] = {}
    known = [each.value.get("name") for each in root.parts("environments")]
    if default and default not in known:
        root.note("default_environment", "no environment of this name stands here", "dango import the file that has it")
    for environment in root.parts("environments"):
        if not default or environment.value.get("name") != default:
            do = "where it is that one which is wanted: change sources.yml, or have a project of its own for it"
            environment.refuse("an environment that is not the default one", do)
            continue
        environment.take("name")
        inner = environment.part("config").part("plugins")
        for kind in ("extractors", "loaders"):
            for plugin in inner.parts(kind):
                made[plugin.needed("name")] = plugin
    return made


def _settings(plugin: Plugin, overlays: Mapping[str, Part], reading: Reading) -> Settings:
    """A plugin's settings: defaults, those of what it inherits from, its own, the default environment's."""
    layers = []
    for each in plugin.lineage:
        defaults = each.part.parts("settings")
        layers += [
            reading.of({setting.text("name"): setting.value["value"]}, setting.at("value"))
            for setting in defaults
            if setting.value.get("value") is not None
        ]
        layers.append(_of_config(each.part, reading))
    layers += [_of_config(overlays[each.name], reading) for each in plugin.lineage if each.name in overlays]
    made = layered(iter(layers))
    return Settings(_nested(made.plain), _nested(made.secrets))


def _of_config(part: Part, reading: Reading) -> Settings:
    """What stands under `config:`; a setting without a value is as good as none."""
    config = part.part("config")
    said = {key: value for key, value in config.value.items() if value is not None and not key.startswith("_")}
    for key in config.value:
        if key.startswith("_"):
            config.note(
                key, f"`{key[1:]}` of the plugin, said as a setting", f"say it as `{key[1:]}:` and import again"
            )
    config.take_all()
    return reading.of(said, config.loc)


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose names have dots in them as the mappings that taps are given."""
    made = {name: value for name, value in settings.items() if "." not in name}
    for name, value in settings.items():
        *parents, key = name.split(".")
        inner: Any = made
        for parent in parents:
            inner = inner.setdefault(parent, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner[key] = value
        else:
            # What stands under the name before the dot holds nothing.
            made[name] = value
    return made


def _extractor(plugin: Plugin, python: str, overlays: Mapping[str, Part], targets: Sequence[str], found: Found) -> None:
    part = plugin.part
    name = found.name(plugin.name)
    settings = _settings(plugin, overlays, Reading(part.ledger, name, sensitive=_sensitive(plugin), home=_HOME))
    replication: dict[str, dict[str, str]] = {}
    streams: list[str] = []
    for each in plugin.lineage:
        replication = selection.merged(replication, selection.replication(each.part))
        streams = selection.resources(each.part) or streams
    block: dict[str, Any] = {"tap": plugin.program}
    block |= {"config": settings.plain} if settings.plain else {}
    block |= {"replication": replication} if replication else {}
    item = {
        "name": name,
        "type": "singer",
        "description": part.text("description"),
        "destination": destinations.chosen(part, targets),
        "environment": _environment(plugin, plugin.said("python") or python),
        "resources": streams,
        "singer": block,
    }
    secrets = {"secrets": settings.secrets} if settings.secrets else {}
    found.add(part, plugin.name, item, secrets, f"plugins.extractors[{part.loc[-1]}]")


def _sensitive(plugin: Plugin) -> set[str]:
    """The settings that the file calls secret; one that has no value in it is named."""
    made = set()
    config = {key for each in plugin.lineage for key in each.part.part("config").value}
    for setting in (setting for each in plugin.lineage for setting in each.part.parts("settings")):
        name = setting.needed("name")
        if setting.value.get("sensitive") is not True and setting.value.get("kind") not in _SENSITIVE:
            continue
        made.add(name)
        if name not in config and setting.value.get("value") is None:
            variable = re.sub(r"\W", "_", f"{plugin.name}_{name}").upper()
            do = f"under `singer: config:` of the source: {name}: env:{variable}"
            setting.note("name", f"a secret that Meltano takes from the environment, by {variable}", do)
    return made


def _environment(plugin: Plugin, python: str) -> dict[str, Any]:
    requirements, fetched = plugin.requirements()
    if not requirements:
        return {}
    made: dict[str, Any] = {"allow_urls": True} if fetched else {}
    made["requirements"] = requirements
    if python:
        # Meltano's `python3.11` is dango's `3.11`.
        made["python"] = re.sub(r"^python(?=\d)", "", python)
    return made


def _loader(plugin: Plugin, overlays: Mapping[str, Part], found: Found) -> str:
    """The name of the destination that a loader is; empty where dango has none of the kind."""
    for each in plugin.lineage:
        each.part.take("inherit_from")
    configs = [each.part.part("config") for each in plugin.lineage]
    configs += [overlays[each.name].part("config") for each in plugin.lineage if each.name in overlays]
    said = {key: value for each in configs for key, value in each.value.items()}
    last = Part(plugin.part.ledger, configs[-1].loc, said)
    made = _target(plugin, last, found)
    for key in said:
        if last.ledger.is_settled(last.at(key)):
            # One setting may stand in several places, of which one counts.
            for config in configs:
                config.take(key)
    return made


def _target(plugin: Plugin, config: Part, found: Found) -> str:
    kind, reading = plugin.base, Reading(config.ledger, plugin.name, home=_HOME)
    if kind == "target-duckdb":
        key = next((key for key in ("filepath", "path", "database") if config.value.get(key)), "filepath")
        return destinations.duckdb(config, plugin.name, str(reading.text(config.text(key), config.at(key))), found)
    if kind == "target-postgres" and config.value.get("sqlalchemy_url"):
        return destinations.by_url(config, plugin.name, "sqlalchemy_url", reading, found)
    if kind == "target-postgres":
        database = "database" if config.value.get("database") else "dbname"
        return destinations.postgres(config, plugin.name, {**_POSTGRES, "database": database}, reading, found)
    if kind in _FILES and (folder := config.text("destination_path")):
        return destinations.files(config, plugin.name, str(reading.text(folder, config.at("destination_path"))), found)
    plugin.part.refuse(
        f"dango has no destination for {kind}", destinations.advice(kind.removeprefix("target-"), plugin.name)
    )
    return ""
