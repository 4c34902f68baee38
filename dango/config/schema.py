"""The JSON Schema of `sources.yml`, by which editors complete and check it."""

from __future__ import annotations

from typing import Any

from dango.config.contract import SHORT
from dango.config.models import Config, Defaults
from dango.config.resource import OF_DESTINATIONS


def json_schema() -> dict[str, Any]:
    """The schema, as JSON's own types; also what docs/SOURCES_YML.md is written from."""
    # Its default is written by a model of its own, which the oldest pydantic does not build by itself.
    Defaults.model_rebuild()
    schema = Config.model_json_schema()
    source = schema["$defs"]["Source"]
    source["properties"].pop("block")
    # A registry type brings a block of its own name; the schema cannot list them all.
    source["additionalProperties"] = {"type": "object"}
    # A source that extends another has its type from there.
    source["required"].remove("type")
    source["anyOf"] = [{"required": ["type"]}, {"required": ["extends"]}]
    column = schema["$defs"]["Column"]
    column["properties"].pop("adapted")
    column["patternProperties"] = {f"^{OF_DESTINATIONS}": {}}
    schema["$defs"]["Destination"]["properties"].pop("name")
    schema["properties"]["destinations"]["additionalProperties"] = False  # names are patterns of properties
    # A key with nothing behind it is as if it were not there.
    for key in ("destinations", "defaults", "sources"):
        inner = schema["properties"][key]
        said = {word: inner.pop(word) for word in ("description", "examples", "default") if word in inner}
        schema["properties"][key] = {"anyOf": [inner, {"type": "null"}], **said}
    names = {"type": "array", "items": {"type": "string"}}
    hints = {"anyOf": [{"$ref": "#/$defs/Resource"}, {"type": "null"}]}
    for model in ("Source", "Defaults", "Resource"):
        schema["$defs"][model]["properties"]["schema_contract"]["anyOf"].append(SHORT)
    for model in ("Source", "Defaults"):
        resources = schema["$defs"][model]["properties"]["resources"]
        resources["anyOf"] = [names, {"type": "object", "additionalProperties": hints}, {"type": "null"}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "sources.yml"}
