"""A `sources.yml` of getdango, which is much like dango's own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from dango.imports import rest
from dango.imports.found import Found
from dango.imports.ledger import Part, Rules
from dango.imports.settings import Reading

RULES = Rules(
    ignored={"version": "that of getdango's format"},
    left={
        "sources.*.tags": ("sources have no tags", "`description:` of the source"),
        "sources.*.lookback_days": (
            "how far to look back is said of a resource",
            "`resources: {NAME: {cursor: {lag: …}}}`",
        ),
        "sources.*.empty_sync_policy": (
            "a table that held rows is never emptied by chance",
            "dango sync --allow-empty",
        ),
        "sources.*.*.deduplication": ("rows are told apart by a key", "`resources: {NAME: {primary_key: …}}`"),
        "sources.*.*.resources": ("dango's own source calls its resources otherwise", "dango source edit NAME"),
        "sources.*.*.endpoints": ("dango's own source calls its resources otherwise", "dango source edit NAME"),
        "sources.*.generic_config.resources": (
            "dango's own source calls its resources otherwise",
            "dango source edit NAME",
        ),
    },
)

FIELDS: Mapping[str, Mapping[str, str]] = {
    "airtable": {"access_token": "token"},
    "asana": {"access_token": "token"},
    "freshdesk": {"domain": "domain", "api_secret_key": "api_key"},
    "github": {"access_token": "token", "owner": "owner", "name": "repo"},
    "hubspot": {"api_key": "token"},
    "jira": {"subdomain": "site", "email": "email", "api_token": "token"},
    "matomo": {"url": "url", "api_token": "api_token", "site_id": "site"},
    "notion": {"api_key": "token"},
    "personio": {"client_id": "client_id", "client_secret": "client_secret"},
    "pipedrive": {"pipedrive_api_key": "token", "since_timestamp": "start_date"},
    "salesforce": {"start_date": "start_date"},
    "shopify": {"start_date": "start_date"},
    "slack": {"access_token": "access_token", "selected_channels": "selected_channels", "start_date": "start_date"},
    "stripe": {"stripe_secret_key": "api_key", "start_date": "start_date"},
    "workable": {"access_token": "token", "subdomain": "subdomain", "start_date": "start_date"},
    "zendesk": {"subdomain": "subdomain", "start_date": "start_date"},
}
"""By the type that both have: the fields of dango's, by the parameters of getdango's without `_env`."""

_VERIFIED = re.compile(r"dango\.ingestion\.dlt_sources\.(\w+)")
_SCHEMES = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfss": "azure", "sftp": "sftp"}

Block = tuple[str, dict[str, Any], dict[str, Any], list[str]]
"""dango's type, its block, its section in secrets.toml, and what to load."""


def read(root: Part, found: Found) -> None:
    """Every source of the file. Raises `ConfigError` where one has neither name nor type."""
    for part in root.parts("sources"):
        was, kind = part.needed("name"), part.needed("type")
        name = found.name(was)
        reader = _READERS.get(kind) or (_entry if kind in FIELDS else None)
        if reader is None:
            do = f"dlt's own source of that name, if it has one: dango source fetch {kind}"
            found.refuse(part, was, f"dango has no source `{kind}`", do)
            continue
        type_, block, secrets, resources = reader(part, kind, Reading(part.ledger, name), name)
        item = {
            "name": name,
            "type": type_,
            "enabled": part.take("enabled"),
            "description": part.text("description"),
            "resources": resources,
            type_: block,
        }
        if item["enabled"] is True:
            del item["enabled"]
        found.add(part, was, item, secrets, f"sources[{part.loc[-1]}]")


def parameters(part: Part, reading: Reading) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters of a block, by their names without `_env`, and by that name their keys in the file.

    A key that ends so names a variable of the environment.
    """
    made: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for key, value in part.value.items():
        name = key.removesuffix("_env")
        if value is None or (name != key and not isinstance(value, str)):
            continue
        made[name] = f"env:{value}" if name != key else reading.text(value, part.at(key))
        keys[name] = key
    return made, keys


def _body(part: Part, kind: str) -> Part:
    return part.part(kind) if kind in part.value else part.part("generic_config")


def _entry(part: Part, kind: str, reading: Reading, name: str) -> Block:
    """A source that dango's registry has, too."""
    body = _body(part, kind)
    values, keys = parameters(body, reading)
    block: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    for theirs, ours in FIELDS[kind].items():
        if theirs not in values:
            continue
        raw = body.take(keys[theirs])
        (secrets if keys[theirs] == theirs and reading.is_secret(ours, raw) else block)[ours] = values[theirs]
    what = f"dango's own `{kind}` loads it, whose tables and columns are not those of getdango's"
    part.ledger.note(part.at("type"), what, f"compare them: dango preview {name}")
    return kind, block, secrets, []


def _native(part: Part, kind: str, reading: Reading, name: str) -> Block:
    body = part.part(kind)
    module = body.needed("source_module")
    if found := _VERIFIED.fullmatch(module):
        do = f"dango source fetch {found[1]}; then `source_module: {found[1]}`"
        part.ledger.note(body.at("source_module"), "a source that getdango brings along", do)
    elif part.ledger.given.folder:
        what = "a module of custom_sources/ is not copied"
        part.ledger.note(body.at("source_module"), what, f"copy it, if it is one: custom_sources/{module}")
    block: dict[str, Any] = {"source_module": module, "source_function": body.needed("source_function")}
    arguments = body.part("function_kwargs")
    kept: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    # getdango expands nothing in them.
    literal = Reading(part.ledger, name, variables=False)
    for key, value in arguments.take_all().items():
        apart = literal.is_secret(key, value)
        (secrets if apart else kept)[key] = value if apart else literal.text(value, arguments.at(key))
    block |= {"function_kwargs": kept} if kept else {}
    for key in ("pipeline_name", "dataset_name"):
        if text := body.text(key):
            block[key] = text
    return kind, block, secrets, []


def _files(part: Part, kind: str, reading: Reading, name: str) -> Block:
    body = _body(part, kind)
    folder = body.needed("directory")
    folder = folder if folder.startswith("/") else part.ledger.given.moved(f"./{folder}").removeprefix("./")
    pattern = body.text("file_pattern") or ("*.csv" if kind == "csv" else "*")
    if body.value.get("notes"):
        body.note("notes", "notes on a folder", "`description:` of the source")
    return "files", {"location": posixpath.join(folder, pattern), "table": name}, {}, []


def _bucket(part: Part, kind: str, reading: Reading, name: str) -> Block:
    body = _body(part, kind)
    bucket = body.needed("bucket_url").rstrip("/")
    pattern = body.text("file_glob") or "**/*.parquet"
    storage = _SCHEMES.get(bucket.partition("://")[0], "local")
    block = {"storage": storage, "location": f"{bucket}/{pattern}", "table": name}
    if storage != "local":
        do = f"dango source edit {name}"
        part.ledger.note(body.at("bucket_url"), "who may read the bucket is said by fields of the source", do)
    return "files", block, {}, []


def _database(part: Part, kind: str, reading: Reading, name: str) -> Block:
    """A database that is said by one URL; dango's `sql` takes that."""
    body = _body(part, kind)
    values, keys = parameters(body, reading)
    block: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    if "credentials" in values:
        body.take(keys["credentials"])
        apart = keys["credentials"] == "credentials" and not str(values["credentials"]).startswith("env:")
        (secrets if apart else block)["url"] = values["credentials"]
    if schema := body.text("schema"):
        block["schema"] = schema
    tables = [str(each) for each in body.items("table_names")]
    body.take("table_names")
    return "sql", block, secrets, tables


def _rest(part: Part, kind: str, reading: Reading, name: str) -> Block:
    body = part.part(kind)
    values, keys = parameters(body, reading)
    return "rest_api", *rest.block(body, values, keys, reading), []


_READERS: Mapping[str, Callable[[Part, str, Reading, str], Block]] = {
    "csv": _files,
    "dlt_native": _native,
    "filesystem": _bucket,
    "local_files": _files,
    "mysql": _database,
    "postgres": _database,
    "rest_api": _rest,
    "sql_database": _database,
}
