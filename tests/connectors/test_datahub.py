"""DataHub's sources, unmodified, in an environment of their own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said

pytestmark = pytest.mark.slow

Write = Callable[[Mapping[str, str]], None]
Rows = Callable[[str], list[Any]]

BEGIN = """\
version: 1
defaults: {environment: {requirements: ["acryl-datahub[sqlalchemy]==1.7.0.17"]}}
sources:
"""
MINE = '''\
"""A source of one's own, as DataHub's guide has it."""
import os

from datahub.configuration.common import ConfigModel
from datahub.emitter.mce_builder import make_dataset_urn
from datahub.emitter.mcp import MetadataChangeProposalWrapper
from datahub.ingestion.api.decorators import config_class, platform_name
from datahub.ingestion.api.source import Source, SourceReport
from datahub.metadata.schema_classes import DatasetPropertiesClass


class Config(ConfigModel):
    count: int = 2
    token: str = ""


@platform_name("Mine")
@config_class(Config)
class Mine(Source):
    def __init__(self, config, ctx):
        super().__init__(ctx)
        self.config, self.told = config, SourceReport()

    @classmethod
    def create(cls, config_dict, ctx):
        return cls(Config.model_validate(config_dict), ctx)

    def get_workunits_internal(self):
        print("a line for people")
        for n in range(self.config.count):
            properties = DatasetPropertiesClass(name=f"t{n}", customProperties={f"key {n}": "of its own"})
            urn = make_dataset_urn("mine", f"t{n}")
            yield MetadataChangeProposalWrapper(entityUrn=urn, aspect=properties).as_workunit()
        if os.environ.get("FAULT") == "report":
            self.told.failure(title="Half read", message="one table is locked", context="t9")
        if os.environ.get("FAULT") == "raise":
            raise RuntimeError(f"refused {self.config.token}")

    def get_report(self):
        return self.told

    def close(self):
        open("closed", "a").write("once ")
        super().close()


class Half(Source):
    pass
'''


def source(name: str, connector: str, **config: Any) -> str:
    """One source in `sources.yml`."""
    return f"  - {{name: {name}, type: datahub, datahub: {json.dumps({'connector': connector, 'config': config})}}}\n"


def test_a_source_of_datahubs_own_and_one_of_the_projects_are_loaded_a_table_for_each_aspect(
    dango: Callable[..., Said], rows: Rows, root: Path, write: Write
) -> None:
    with sqlite3.connect(root / "shop.db") as shop:
        shop.execute("create table orders (id integer primary key, amount real)")
    write({
        "sources": BEGIN
        + source("shop", "sqlalchemy", connect_uri=f"sqlite:///{root}/shop.db", platform="sqlite")
        + source("mine", "custom_sources.mine.Mine", count=3),
        "custom_sources/mine.py": MINE,
        ".dlt/secrets.toml": '[sources.mine.secrets]\ntoken = "Q7secretQ7"\n',
    })  # fmt: skip
    said = dango("sync", timeout=600)
    assert said.code == 0, said.err
    fields = "select field_path, native_data_type from raw_shop.schema_metadata__fields order by 1"
    assert rows(fields) == [("amount", "REAL"), ("id", "INTEGER")]
    # Keys that are not known beforehand stand in one column, and not in one for each.
    mine = "select entity_urn, name, custom_properties from raw_mine.dataset_properties order by name"
    assert rows(mine)[0] == ("urn:li:dataset:(urn:li:dataPlatform:mine,t0,PROD)", "t0", '{"key 0":"of its own"}')
    assert rows("select count(*) from raw_mine.status") == [(3,)]
    assert (root / "closed").read_text() == "once "

    told = {each["name"]: each for each in dango("source", "describe", "mine", "--json").json["options"]}
    assert (told["count"]["kind"], told["count"]["default"]) == ("integer", 2)

    # Again, of which nothing is new: each entity has one row of each aspect.
    said = dango("sync", "mine", env={"FAULT": "report"})
    assert said.code == 3
    assert rows("select count(*) from raw_mine.dataset_properties") == [(3,)]
    failed = "select entity, message from raw_mine._dango_errors"
    assert rows(failed) == [("t9", "Half read: one table is locked")]

    said = dango("sync", "mine", env={"FAULT": "raise"})
    assert said.code == 1
    assert "custom_sources/mine.py:37: `custom_sources.mine.Mine`: RuntimeError: refused ***" in said.err
    assert "Q7secretQ7" not in said.out + said.err


def test_what_is_no_source_is_told_and_why(dango: Callable[..., Said], write: Write) -> None:
    write({
        "sources": BEGIN
        + source("typo", "sqlalchemie")
        + source("half", "custom_sources.mine.Half")
        + source("broken", "custom_sources.broken.Source")
        + source("key", "custom_sources.mine.Mine", cuont=3),
        "custom_sources/mine.py": MINE,
        "custom_sources/broken.py": "from datahub.ingestion.api.source import NoSuchThing\n",
    })  # fmt: skip
    said = dango("sync", timeout=600)
    assert said.code == 1, said.err
    assert "DataHub has no source `sqlalchemie` here; it has sqlalchemy" in said.err
    assert "`custom_sources.mine.Half` is no whole DataHub source: it lacks get_report" in said.err
    assert "ImportError: cannot import name 'NoSuchThing'" in said.err
    assert "cuont" in said.err


def test_files_and_tables_by_hand_are_loaded_as_they_stand(
    dango: Callable[..., Said], rows: Rows, root: Path, write: Write
) -> None:
    orders, people = (f"urn:li:dataset:(urn:li:dataPlatform:hive,shop.{name},PROD)" for name in ("orders", "people"))
    described = "com.linkedin.pegasus2avro.dataset.DatasetProperties"
    snapshot = {
        "urn": orders,
        "aspects": [{described: {"description": "All orders", "customProperties": {"a b": "c"}}}],
    }
    written = [
        {"proposedSnapshot": {"com.linkedin.pegasus2avro.metadata.snapshot.DatasetSnapshot": snapshot}},
        {
            "entityType": "dataset", "entityUrn": people, "changeType": "UPSERT", "aspectName": "datasetProperties",
            "aspect": {"json": {"description": "All people", "customProperties": {}}},
        },
    ]  # fmt: skip
    (root / "shop.db").touch()
    write({
        "written.json": json.dumps(written),
        "by_hand.csv": "resource,subresource,glossary_terms,tags,owners,ownership_type,description,domain\n"
        f'"{orders}",,,[urn:li:tag:Legacy],[urn:li:corpuser:ann],TECHNICAL_OWNER,All of them,urn:li:domain:Shop\n',
        "sources": BEGIN
        + source("files", "file", path="written.json")
        + source("hand", "csv-enricher", filename="by_hand.csv", write_semantics="OVERRIDE")
        + source("shop", "sqlalchemy", connect_uri=f"sqlite:///{root}/shop.db", platform="sqlite")
        + source("nowhere", "sqlalchemy", connect_uri=f"sqlite:///{root}/no/shop.db", platform="sqlite"),
    })  # fmt: skip
    said = dango("sync", "files", "hand", timeout=600)
    assert said.code == 0, said.err
    assert rows("select entity_urn, description, custom_properties from raw_files.dataset_properties order by 1") == [
        (orders, "All orders", '{"a b":"c"}'), (people, "All people", "{}"),
    ]  # fmt: skip
    assert rows("select owner from raw_hand.ownership__owners") == [("urn:li:corpuser:ann",)]
    assert rows("select tag from raw_hand.global_tags__tags") == [("urn:li:tag:Legacy",)]

    # One that can test its connection does that, and is not read.
    said = dango("source", "test", "shop")
    assert (said.code, said.out.startswith("its own check: well")) == (0, True), said.err
    said = dango("source", "test", "nowhere")
    assert (said.code, "unable to open database file" in said.out + said.err) == (1, True)
    assert "aspects: a row" in dango("source", "test", "hand").out


def test_what_is_gone_is_flagged_by_a_source_that_keeps_state(
    dango: Callable[..., Said], rows: Rows, root: Path, write: Write
) -> None:
    def schema(name: str) -> str:
        return json.dumps(
            {"$id": f"https://acme.example/{name}", "type": "object", "properties": {"id": {"type": "string"}}}
        )

    stateful = {"enabled": True, "fail_safe_threshold": 100.0}
    files = {f"schemas/{name}.json": schema(name) for name in ("order", "person")}
    write({
        **files,
        "sources": BEGIN
        + source("schemas", "json-schema", path=str(root / "schemas"), platform="acme", stateful_ingestion=stateful),
    })  # fmt: skip
    said = dango("sync", timeout=600)
    assert said.code == 0, said.err
    removed = "select count(*), count(*) filter (removed) from raw_schemas.status"
    before, flagged = rows(removed)[0]
    assert (before > 0, flagged) == (True, 0)
    (root / "schemas/person.json").unlink()
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows(removed)[0][1] >= 1
