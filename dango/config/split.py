"""What `split:` says: that each resource of a source is loaded by itself, or into which ranges one of them is cut."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from dango.config.text.values import kind

MOST = 10_000
"""Ranges of one resource."""
_DURATION = re.compile(r"(\d+) ?(hour|day|week)s?")
_HOURS = {"hour": 1, "day": 24, "week": 168}


def duration(text: str) -> dt.timedelta | None:
    """What `12 hours`, `1 day` or `2 weeks` say; None for any other text."""
    found = _DURATION.fullmatch(text)
    return dt.timedelta(hours=int(found[1]) * _HOURS[found[2]]) if found else None


def _size(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str) and duration(value):
        return value
    said = f"`{value}`" if isinstance(value, str | int | float) else kind(value)
    raise PydanticCustomError(
        "split_size", "should be a whole number, or a time such as `30 days` or `12 hours`, not {said}", {"said": said}
    )


class Split(BaseModel):
    """Ranges of a column, from which several jobs load one resource."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    column: StrictStr = Field(
        description="numbers or times: the resource's cursor where it has one, otherwise any", examples=["id"]
    )
    ranges: Annotated[StrictInt, Field(ge=2, le=MOST)] | None = Field(
        default=None, description="into how many ranges, all equally wide", examples=[16]
    )
    size: Annotated[int | str, BeforeValidator(_size)] | None = Field(
        default=None,
        description="how wide each range is: of numbers a number, of times hours, days or weeks",
        examples=[1_000_000, "30 days"],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Split:
        if (self.ranges is None) == (self.size is None):
            raise PydanticCustomError("split", "needs one of `ranges` and `size`, and not both")
        return self


def _of_source(value: Any) -> Any:
    if value == "resources":
        return value
    if isinstance(value, dict):
        raise PydanticCustomError(
            "split", "should be `resources`; ranges are of a resource: `resources: {NAME: {split: {column: …}}}`"
        )
    said = f"`{value}`" if isinstance(value, str | int | float) else kind(value)
    raise PydanticCustomError("split", "should be `resources`, not {said}", {"said": said})


SplitSource = Annotated[Literal["resources"], BeforeValidator(_of_source)]
