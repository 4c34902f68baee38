"""Kinds of values in `sources.yml`: names, hosts, and how many records may fail."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from dango.config.text.values import kind

NAME_PATTERN = r"[a-z][a-z0-9_]{0,47}"
_DEVICES = re.compile("con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""Names that no file may have on Windows, where a colleague may check the project out; dlt refuses them everywhere."""


def no_name(text: str) -> str:
    """Why a source cannot have this name; empty where it can."""
    if _DEVICES.fullmatch(text):
        return "is the name of a device on Windows, where no file may be called so"
    if not re.fullmatch(NAME_PATTERN, text):
        return "is no valid name (lower-case letters, digits and `_`, a letter first, at most 48)"
    return ""


def corrected(name: str) -> str:
    """The nearest valid name to `name`: `My-Source 2` becomes `my_source_2`."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if _DEVICES.fullmatch(plain):
        return f"{plain}_source"
    return re.sub(r"^(?=[^a-z])", "s_", plain)[:48].rstrip("_") if plain else "my_source"


def _name(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("name", "a name is text, this is {kind}; quote it", {"kind": kind(value)})
    if why := no_name(value):
        told = {"value": value, "why": why, "better": corrected(value)}
        raise PydanticCustomError("name", "`{value}` {why}; use `{better}`", told)
    return value


Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$"), BeforeValidator(_name)]


def _host(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(_HOST, value):
        return value
    raise PydanticCustomError("host", "should be a host without scheme and path, as files.example.com or *.example.com")


_HOST = r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:[0-9]{1,5})?"
Host = Annotated[str, Field(pattern=f"^{_HOST}$"), BeforeValidator(_host)]


def _max_errors(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if whole or (isinstance(value, str) and re.fullmatch(_PERCENT, value)):
        return value
    raise PydanticCustomError("max_errors", "should be how many records may fail (0, 10) or what share of them (`5%`)")


_PERCENT = r"(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%"
MaxErrors = Annotated[
    int | str,
    BeforeValidator(_max_errors),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{_PERCENT}$"}]}),
]


def _requirement(text: Any, info: Any) -> Any:
    """What a tool would take for an option, or fetch from anywhere, is no name of a package."""
    said = ""
    if not isinstance(text, str) or not text.strip():
        said = "`{text}` is no text, as `pandas>=2` is"
    elif text.lstrip().startswith("-"):
        said = "`{text}` is an option of a tool, not a package that is required"
    elif ("://" in text or re.search(r"(^|\s)@\s*\S", text)) and not info.data.get("allow_urls"):
        said = (
            "`{text}` is fetched from an address, and whoever has that address may change what it is;"
            " `allow_urls: true` beside it says that this is meant"
        )
    elif not text.startswith(("./", "../")) and not _is_requirement(text):
        said = "`{text}` is no requirement, as `pandas>=2` is; a folder of this project is written `./folder`"
    if said:
        raise PydanticCustomError("requirement", said, {"text": str(text)})
    return text


def _is_requirement(text: str) -> bool:
    # Here, since few projects name any.
    from packaging import requirements

    try:
        requirements.Requirement(text)
    except requirements.InvalidRequirement:
        return bool(re.match(r"[\w+.-]+://", text))
    return True


Requirement = Annotated[str, BeforeValidator(_requirement)]
