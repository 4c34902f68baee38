"""Values as `mask`, `hash` and `cast` make them: of records one by one, of a column each different one."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dango.conversions import moment

Convert = Callable[[Any], Any]

HIDDEN = "***"
_DECIMAL = pa.decimal128(38, 9)
"""As dlt has decimals that nothing else is said of."""
_NINTH = Decimal("1e-9")
_TRUE = {"true", "yes", "on", "1", "t", "y"}
_FALSE = {"false", "no", "off", "0", "f", "n"}


def mapped(values: pa.ChunkedArray, convert: Convert, kind: pa.DataType) -> pa.ChunkedArray:
    """Each value of a column converted; null stays null. Raises what `convert` raises."""
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        # Python's times have no nanoseconds.
        values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    if pa.types.is_nested(values.type) or pa.types.is_null(values.type):
        made = [None if value is None else convert(value) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(made, kind)])
    # What comes often is converted once.
    codes = (
        values.combine_chunks().dictionary_encode() if values.num_chunks != 1 else values.chunk(0).dictionary_encode()
    )
    made = [convert(value) for value in codes.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(made, kind).take(codes.indices)])


def text(value: Any) -> str:
    """A value as text, the same whether it comes from a record or from a table."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.timezone.utc).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=text, sort_keys=True, ensure_ascii=False)
    return str(value)


def masked(keep: int) -> Convert:
    """Hides a value but for so many characters at its end, and never for more than half of it."""

    def mask(value: Any) -> str:
        said = text(value)
        shown = min(keep, len(said) // 2)
        return HIDDEN + said[len(said) - shown :]

    return mask


def hashed(salt: str) -> Convert:
    """A value's HMAC-SHA256: the same for the same value and salt, in every source."""
    key = salt.encode()
    return lambda value: hmac.new(key, text(value).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


# --- cast ---------------------------------------------------------------------------------------------


def _bigint(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, float | Decimal) and value != int(value):
        raise ValueError("no whole number")
    return int(value)


def _decimal(value: Any) -> Decimal:
    try:
        exact = Decimal(repr(value) if isinstance(value, float) else value)
        with localcontext() as context:
            context.prec = 38
            return exact.quantize(_NINTH)
    except (InvalidOperation, TypeError) as error:
        raise ValueError("no decimal of at most 29 digits before the point") from error


def _bool(value: Any) -> bool:
    said = text(value).strip().lower()
    if said in _TRUE or (isinstance(value, int | float | Decimal) and value == 1):
        return True
    if said in _FALSE or (isinstance(value, int | float | Decimal) and value == 0):
        return False
    raise ValueError("neither true nor false")


def _date(value: Any) -> dt.date:
    return value if type(value) is dt.date else moment(value).date()


CASTS: Mapping[str, tuple[Convert, pa.DataType]] = {
    "text": (text, pa.string()),
    "bigint": (_bigint, pa.int64()),
    "double": (float, pa.float64()),
    "decimal": (_decimal, _DECIMAL),
    "bool": (_bool, pa.bool_()),
    "timestamp": (moment, pa.timestamp("us", "UTC")),
    "date": (_date, pa.date32()),
}


def cast(kind: str) -> Convert:
    """Values as another type; empty text is null, but for text. Raises `ValueError` where a value is none."""
    convert, _ = CASTS[kind]
    if kind == "text":
        return convert
    return lambda value: None if isinstance(value, str) and not value.strip() else convert(value)


def cast_column(values: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """A column as another type. Raises `ValueError` where a value is none."""
    wanted = CASTS[kind][1]
    if values.type == wanted:
        return values
    if pa.types.is_integer(values.type) and kind in ("bigint", "double"):
        return pc.cast(values, wanted)
    return mapped(values, cast(kind), wanted)
