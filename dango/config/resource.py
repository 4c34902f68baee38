"""What `resources:` says of one resource, and what a block of `sources.yml` is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    StrictStr,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from dango.config.contract import SchemaContract
from dango.config.kinds import MaxErrors
from dango.config.processors import Processors
from dango.config.split import Split
from dango.config.text.values import kind


def said(description: str, *examples: Any) -> Any:
    """A key that may be left out, with what the editor and the reference say of it."""
    return Field(default=None, description=description, examples=list(examples) or None)


class Strict(BaseModel):
    """A block in which an unknown key is an error."""

    # Built when the first is made: most commands read no registry entry, and a worker checks nothing again.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Common(Strict):
    """Keys of a source and of a resource alike."""

    on_error: Literal["fail", "skip"] | None = said(
        "`skip` leaves out a resource that fails and loads the others; `fail` loads nothing then", "skip"
    )
    processors: Processors = None


MAX_ERRORS = "how many records may fail before nothing is loaded: a number, or a share such as `5%`"


class Cursor(Strict):
    """What makes a resource incremental: the field that grows, where to begin, how far to look back."""

    field: StrictStr = Field(
        description="the column (or JSON path) that grows with every change", examples=["updated_at"]
    )
    initial: Any = said("where the first sync begins", "2024-01-01")
    lag: float | None = said("how far every sync looks back; seconds for times", 3600)


OF_DESTINATIONS = "x-"
"""With this begin hints that are a destination's own: dlt hands them on, whatever they are."""


def adapted(value: Any) -> Any:
    """A column's hints with those of destinations in one place."""
    if not isinstance(value, Mapping):
        return value
    others = {key: hint for key, hint in value.items() if str(key).startswith(OF_DESTINATIONS)}
    kept = {key: hint for key, hint in value.items() if key not in others}
    return {**kept, "adapted": others} if others else kept


class Column(Strict):
    """dlt's hints of a column. One that begins with `x-` is a destination's own and may be anything."""

    data_type: (
        Literal["text", "double", "bool", "timestamp", "bigint", "binary", "json", "decimal", "wei", "date", "time"]
        | None
    ) = said("its type", "decimal")
    nullable: StrictBool | None = said("whether it may be empty", False)
    precision: StrictInt | None = said(
        "digits of a decimal, of a second's fraction, bits of a whole number, length of a text", 10
    )
    scale: StrictInt | None = said("digits of a decimal after the point", 2)
    timezone: StrictBool | None = said("whether times have a zone", False)
    description: StrictStr | None = said("what it holds")
    primary_key: StrictBool | None = said("it tells rows apart, alone or with others")
    merge_key: StrictBool | None = said("a `merge` replaces all rows that have the same value in it")
    unique: StrictBool | None = said("no two rows have the same value; where the destination makes use of it")
    partition: StrictBool | None = said("the table is divided by it; where the destination can")
    cluster: StrictBool | None = said("rows are stored together by it; where the destination can")
    sort: StrictBool | None = said("rows are stored in its order; where the destination can")
    hard_delete: StrictBool | None = said("a `merge` deletes rows in which it is true or filled")
    dedup_sort: Literal["asc", "desc"] | None = said(
        "of rows with the same key a `merge` keeps the first in this order"
    )
    variant: StrictBool | None = said("it holds values of another type of a column beside it")
    row_key: StrictBool | None = said("it is what dlt has `_dlt_id` for")
    parent_key: StrictBool | None = said("it is what dlt has `_dlt_parent_id` for")
    root_key: StrictBool | None = said("it is what dlt has `_dlt_root_id` for")
    incremental: StrictBool | None = said("it is the cursor")
    adapted: dict[str, Any] = Field(default_factory=dict, description="hints of destinations")

    @model_serializer(mode="wrap")
    def _as_written(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        kept = plain(self)
        kept.pop("adapted", None)
        return {**kept, **self.adapted}

    @property
    def hints(self) -> dict[str, Any]:
        """What is said, as dlt takes it."""
        return self.model_dump(exclude_unset=True)


class Resource(Common):
    """What a resource does otherwise than its author wrote; applied with dlt's hints."""

    schema_contract: SchemaContract = None
    max_errors: MaxErrors | None = said(MAX_ERRORS, 10, "5%")

    table: StrictStr | None = said("the table's name; otherwise that of the resource", "tickets")
    write_disposition: Literal["append", "replace", "merge", "skip"] | None = said(
        "whether rows are added, take the place of all, or of those with the same key", "merge"
    )
    primary_key: StrictStr | tuple[StrictStr, ...] | None = said(
        "the column that tells rows apart, or a list of them", "id", ["order_id", "line"]
    )
    merge_key: StrictStr | tuple[StrictStr, ...] | None = said(
        "a `merge` replaces all rows that have the same value in this column", "day"
    )
    cursor: Cursor | None = said("what makes the resource incremental", {"field": "updated_at"})
    columns: dict[str, Annotated[Column, BeforeValidator(adapted)]] | None = said(
        "dlt's column hints, by the name of the column", {"price": {"data_type": "decimal"}}
    )
    split: Split | None = said(
        "load it in ranges of a column, side by side, each confirmed by itself", {"column": "id", "ranges": 16}
    )

    def over(self, default: Resource | None) -> Resource:
        """This one, with the default's word for what it does not say."""
        if default is None:
            return self
        inherited = {key: getattr(default, key) for key in default.model_fields_set - self.model_fields_set}
        if self.schema_contract is not None:
            inherited["schema_contract"] = self.schema_contract.over(default.schema_contract)
        return self.model_copy(update=inherited)


def _resources(value: Any) -> Any:
    """Both ways of writing `resources:` as one: a mapping from name to hints."""
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise PydanticCustomError(
                    "resources", "a list of resources holds names, this is {kind}", {"kind": kind(item)}
                )
        return {name: {} for name in value}
    if isinstance(value, Mapping):
        return {name: {} if hints is None else hints for name, hints in value.items()}
    raise PydanticCustomError(
        "resources", "should be a list of names or a mapping from name to hints, not {kind}",
        {"kind": kind(value)},
    )  # fmt: skip


Resources = Annotated[dict[str, Resource], BeforeValidator(_resources)]
