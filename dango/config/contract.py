"""What `schema_contract:` says: what may change in the tables of a source or a resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from dango.config.text.values import kind
from dango.errors import near

MODES = ("evolve", "freeze", "discard_row", "discard_value")
ENTITIES = ("tables", "columns", "data_type")
SHORT = {"enum": list(MODES)}
"""One word for all entities, in JSON Schema."""


def _mode(value: Any) -> Any:
    if isinstance(value, str) and value in MODES:
        return value
    said = f"`{value}`{near(value, MODES)}" if isinstance(value, str) else kind(value)
    raise PydanticCustomError(
        "contract", "should be one of {modes}, not {said}", {"modes": ", ".join(MODES), "said": said}
    )


Mode = Annotated[Literal["evolve", "freeze", "discard_row", "discard_value"], BeforeValidator(_mode)]


class Contract(BaseModel):
    """What happens to new tables, to new columns, and to values of another type than their column has."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tables: Mode | None = Field(default=None, description="of new tables")
    columns: Mode | None = Field(default=None, description="of new columns")
    data_type: Mode | None = Field(default=None, description="of values of another type than their column has")

    @property
    def said(self) -> dict[str, Any]:
        """The mode of each entity that it speaks of."""
        return self.model_dump(exclude_none=True)

    def over(self, default: Contract | None) -> Contract:
        """This one, with the default's word for what it does not speak of."""
        return Contract(**{**(default or Contract()).said, **self.said})


def _written_out(value: Any) -> Any:
    return value if isinstance(value, Mapping | Contract | None) else dict.fromkeys(ENTITIES, _mode(value))


SchemaContract = Annotated[
    Contract | None,
    BeforeValidator(_written_out),
    Field(
        description="what may change in the tables: one word for all, or one each for tables, columns, data_type",
        examples=["freeze", {"columns": "discard_row"}],
    ),
]
