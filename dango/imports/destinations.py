"""Where other tools load to, as destinations of dango's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dango.config.kinds import corrected
from dango.imports.found import Found, Target
from dango.imports.ledger import Part
from dango.imports.settings import Reading

_OF_DLT = {
    "athena": "athena", "bigquery": "bigquery", "clickhouse": "clickhouse", "databricks": "databricks",
    "motherduck": "motherduck", "mssql": "mssql", "redshift": "redshift", "snowflake": "snowflake",
    "sqlite": "sqlalchemy", "mysql": "sqlalchemy", "parquet": "filesystem", "csv": "filesystem",
    "jsonl": "filesystem", "file": "filesystem", "s3": "filesystem", "gcs": "filesystem",
}  # fmt: skip


def duckdb(part: Part, was: str, file: str, found: Found) -> str:
    """A DuckDB file; returns the destination's name. Without a file it is the project's own."""
    if not file or file == ":memory:":
        return "duckdb"
    where = part.ledger.given.moved(file).removeprefix("./")
    return _add(part, was, {"type": "duckdb", "credentials": where}, {}, found)


def postgres(part: Part, was: str, keys: Mapping[str, str], reading: Reading, found: Found) -> str:
    """A PostgreSQL database; returns the destination's name.

    Args:
        part: the mapping that says how to connect.
        was: what the file calls the destination.
        keys: by dlt's names for parts of a connection, those of the mapping; the first that is there counts.
        reading: how a value is read.
        found: takes it.
    """
    plain: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    for key, name in keys.items():
        value = part.value.get(name)
        if value is None or key in plain or key in secrets:
            continue
        part.take(name)
        if reading.is_secret(name, value):
            secrets[key] = value
        else:
            plain[key] = reading.text(value, part.at(name))
    if lacks := [each for each in ("host", "username", "password", "database") if each not in {**plain, **secrets}]:
        place = f".dlt/secrets.toml [destination.{_name(was, found)}.credentials]"
        part.ledger.note(part.loc, f"how to connect lacks: {', '.join(lacks)}", f"say it in {place}")
    block = {"type": "postgres", **({"credentials": plain} if plain else {})}
    return _add(part, was, block, {"credentials": secrets} if secrets else {}, found)


def by_url(part: Part, was: str, key: str, reading: Reading, found: Found) -> str:
    """A PostgreSQL database that is said by one URL; returns the destination's name."""
    value = part.take(key)
    if reading.is_secret(key, value):
        return _add(part, was, {"type": "postgres"}, {"credentials": value}, found)
    block = {"type": "postgres", "credentials": reading.text(value, part.at(key))}
    return _add(part, was, block, {}, found)


def files(part: Part, was: str, folder: str, found: Found) -> str:
    """A folder or a bucket of files; returns the destination's name."""
    where = part.ledger.given.moved(folder).removeprefix("./")
    what = "files are written as dlt's filesystem destination does: a folder for each table"
    part.ledger.note(part.loc, what, "dlt's settings for it go into .dlt/config.toml [destination.filesystem]")
    return _add(part, was, {"type": "filesystem", "bucket_url": where}, {}, found)


def advice(kind: str, was: str) -> str:
    """What to do about a destination that is not carried over."""
    name = corrected(was)
    if known := _OF_DLT.get(kind):
        place = f".dlt/secrets.toml [destination.{name}.credentials]"
        return f"in sources.yml: destinations: {{{name}: {{type: {known}}}}}; how to connect: {place}"
    return "its sources go to the project's destination; `destinations:` in sources.yml takes any of dlt's"


def chosen(part: Part, targets: Sequence[str]) -> str:
    """The destination of a source that flows to these; empty for the project's."""
    known = list(dict.fromkeys(each for each in targets if each))
    if len(known) > 1:
        others = ", ".join(known[1:])
        do = f"another source with `extends:` this one and `destination:` one of: {others}"
        part.ledger.note(part.loc, f"it goes to {len(known)} destinations, of which a source has one: {known[0]}", do)
    return "" if not known or known[0] == "duckdb" else known[0]


def _name(was: str, found: Found) -> str:
    taken = {each.name for each in found.targets}
    name, number = corrected(was), 2
    # `duckdb` is the project's own.
    while name in taken or name == "duckdb":
        name, number = f"{corrected(was)[:44]}_{number}", number + 1
    return name


def _add(part: Part, was: str, block: dict[str, Any], secrets: dict[str, Any], found: Found) -> str:
    name = _name(was, found)
    found.targets.append(Target(name, block, secrets, was, part.place))
    return name
