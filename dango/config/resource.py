"""What `resources:` says of one resource, and what a block of `sources.yml` is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr
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
    columns: dict[str, dict[str, Any]] | None = said(
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
