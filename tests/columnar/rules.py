"""What goes by columns, and for each rule that keeps documents from it, the smallest that must not."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.columnar.worlds import Run

_UTC = dt.timezone.utc
_TWO = dt.timezone(dt.timedelta(hours=2))
_UPSERT = {"write_disposition": {"disposition": "merge", "strategy": "upsert"}, "primary_key": "n"}


def run(*values: Mapping[str, Any], **said: Any) -> Run:
    """A run of one page, its documents numbered."""
    return Run([[{"n": number, **value} for number, value in enumerate(values)]], **said)


def column(data_type: str, **said: Any) -> dict[str, Any]:
    """Hints for the column `x`."""
    return {"hints": {"columns": {"x": {"data_type": data_type, **said}}}}


_ORDER = {
    "name": "Ada",
    "placed_at": "2024-01-01T10:00:00Z",
    "customer": {"id": 7, "address": {"city": "Köln", "zip": None}},
    "lines": [{"sku": "a", "price": Decimal("1.50")}, {"sku": "b", "price": Decimal("2"), "gift": True}],
    "tags": ("new", "eu"),
    "paid": None,
}

USUAL: Mapping[str, Sequence[Run]] = {
    "types": [
        run(
            {"i": 1, "f": 1.5, "b": True, "s": "", "y": b"x", "d": dt.date(1, 1, 1), "t": dt.time(1, 2, 3, 4)},
            {
                "i": 2**62,
                "f": float("nan"),
                "b": None,
                "z": dt.datetime(2024, 1, 1, tzinfo=_UTC),
                "u": uuid.UUID(int=1),
            },
        )
    ],
    "append": [run(_ORDER, {**_ORDER, "lines": [], "late": 1}), run({**_ORDER, "customer": None}, _ORDER)],
    "replace": [run(_ORDER, hints={"write_disposition": "replace"})] * 2,
    "merge": [run(_ORDER, _ORDER, hints={"write_disposition": "merge", "primary_key": "n"})] * 2,
    "upsert": [run(_ORDER, _ORDER, hints=_UPSERT)] * 2,
    "hints": [
        run({"x": 1}, {"x": 2}, **column("double")),
        run({"x": 3.0}, {"y": Decimal("1.50")}, hints={"columns": {"y": {"precision": 9, "scale": 2}}}),
    ],
    "numbers": [run({"x": 1.5}, {"x": 2}, {"x": None})],
    "deep": [
        run(
            {"a": [{"b": [{"c": [1, 2]}, {"c": []}]}, {"b": [{}]}]},
            hints={"write_disposition": "merge", "primary_key": "n"},
        )
    ],
    "contract": [
        run(_ORDER),
        run(_ORDER, _ORDER, contract={"columns": "freeze", "data_type": "freeze", "tables": "freeze"}),
    ],
}


@dataclass(frozen=True)
class Rule:
    """A line of `dango.columnar` that makes a difference, what it is where it is not heeded, and where that shows."""

    module: str
    line: str
    instead: str
    runs: Sequence[Run]


_JSON = {"columns": {"x": {"data_type": "json"}}}

RULES: Mapping[str, Rule] = {
    "text that dlt reads as another type": Rule(
        "frames", r'PRIVATE = b"\xef\x80"', r'PRIVATE = b"\xff\xff"', [run({"x": "\uf0261.5"})]
    ),
    "bytes of no length": Rule("frames", 'if b"" in values:', "if False:", [run({"x": b""}, {"x": b"1"})]),
    "zones that text shows": Rule(
        "frames",
        'getattr(zone, "key", "") != "UTC" for',
        "False for",
        [run({"x": dt.datetime(2024, 1, 1, tzinfo=_TWO)}, **column("text"))],
    ),
    "times of day with a zone": Rule(
        "frames",
        "if any(value is not None and value.tzinfo is not None for value in values):",
        "if False:",
        [run({"x": dt.time(1, 2, tzinfo=_TWO)}, **column("text"))],
    ),
    "infinity": Rule(
        "frames",
        "return array if pc.all(finite)",
        "return array if True or pc.all(finite)",
        [run({"x": 1.5}, {"x": float("inf")})],
    ),
    "numbers of two kinds": Rule(
        "frames", "return _numbers(values)", "return _doubles(values)", [run({"x": 1}, {"x": 2.5})]
    ),
    "values of two kinds": Rule(
        "frames",
        "if len(kinds) > 1 or not kinds",
        "if not kinds",
        [run({"x": dt.datetime(2024, 1, 1, 5, tzinfo=_UTC)}, {"x": dt.date(2024, 1, 1)})],
    ),
    "keys that are missing": Rule(
        "frames",
        'keys = spec.shapes[value["shape"] or 0]',
        "keys = tuple(spec.fields)",
        [run({"x": {"a": 1}}, {"x": {}}, hints=_JSON)],
    ),
    "the order of keys": Rule(
        "frames",
        "enumerate(dict.fromkeys(map(tuple, rows)))",
        "enumerate(dict.fromkeys(map(tuple, map(sorted, rows))))",
        [run({"x": {"b": 1, "a": 2}}, hints=_JSON)],
    ),
    "decimals as they are written": Rule(
        "frames",
        "return Decimal(value)",
        "return Decimal(value).normalize()",
        [run({"x": Decimal("1.50")}, **column("text"))],
    ),
    "two keys of one name": Rule(
        "plan",
        'if name in rows.columns or name.startswith("_dlt"):',
        'if name.startswith("_dlt"):',
        [run({"Ab": 1, "ab": 2})],
    ),
    "names of dlt's own": Rule(
        "plan",
        'if name in rows.columns or name.startswith("_dlt"):',
        "if name in rows.columns:",
        [run({"_dlt_id": "x"})],
    ),
    "what is kept as JSON": Rule(
        "plan",
        "if normalizer._is_nested_type(rows.table, name, place.levels):",
        "if False:",
        [run({"x": {"a": 1}}, hints={"max_table_nesting": 0})],
    ),
    "levels of documents": Rule(
        "plan",
        "place.levels - 1, place.idents",
        "place.levels, place.idents",
        [run({"x": {"y": {"z": 1}}}, hints={"max_table_nesting": 1})],
    ),
    "levels of lists": Rule(
        "plan",
        "self._levels(place) - 1",
        "self._levels(place)",
        [run({"x": [{"y": [{"z": 1}]}]}, hints={"max_table_nesting": 1})],
    ),
    "levels of lists in documents": Rule(
        "plan",
        "self._levels(place) - 1",
        "place.levels - 1",
        [run({"x": {"y": [{"z": {"a": 1}}]}}, hints={"max_table_nesting": 2})],
    ),
    "null among documents": Rule("plan", "if items.null_count:", "if False:", [run({"x": [{"a": 1}, None]})]),
    "lists of lists": Rule("plan", 'raise Unfit("lists of lists")', "return", [run({"x": [[1], [2]]})]),
    "tables of their own": Rule(
        "plan",
        "if not normalizer._should_be_nested(table):",
        "if False:",
        [run({"a": 1}, name="things__x"), run({"x": [{"a": 2}]})],
    ),
    "null for a document": Rule("plan", "if values.null_count:", "if False:", [run({"x": {"a": 1}}, {"x": None})]),
    "null and nothing else": Rule(
        "plan", "for there in (column.given, ", "for there in (", [run({"x": None}, {"x": None})]
    ),
    "the first value": Rule(
        "plan",
        "pc.is_valid(column.values) if column.values.null_count else None",
        "None",
        [run({"x": None}, {"x": 1})],
    ),
    "keys of nothing": Rule("plan", "if key and not key.isspace() else", "if key else", [run({" ": 1})]),
    "the year 0": Rule(
        "arrays",
        "if least is not None and least < _YEAR_ONE:",
        "if False:",
        [run({"x": "2024-01-01T00:00:00Z"}, {"x": "0000-01-01T00:00:00Z"})],
    ),
    "types that differ": Rule(
        "arrays",
        '    ("bigint", "double"): _cast,',
        '    ("bigint", "double"): _cast, ("bool", "text"): _cast,',
        [run({"x": True}, **column("text"))],
    ),
    "ids of nested rows": Rule(
        "arrays", "{parent}_{table}_{place}", "{parent}_{place}", [run({"x": [1, 2]}, hints=_UPSERT)]
    ),
    "ids of nested rows that come again": Rule(
        "normalizer",
        'if self._relational._get_root_row_id_type(rows.root.table) == "random":',
        "if True:",
        [run({"x": [1, 2]}, hints=_UPSERT)],
    ),
    "null where none may be": Rule(
        "normalizer",
        "if array.null_count and strict:",
        "if False:",
        [run({"x": 1}, {"x": None}, **column("bigint", nullable=False))],
    ),
    "contracts": Rule(
        "normalizer",
        'if {*contract.values()} != {"evolve"}:',
        "if False:",
        [run({"x": 1}), run({"x": 1, "y": 1}, {"x": 2}, contract={"columns": "discard_row"})],
    ),
    "keys that are hashed as they are written": Rule(
        "normalizer",
        '_HASHED = ("text", ',
        '_HASHED = ("timestamp", "text", ',
        [run({"x": dt.datetime(2024, 1, 1, tzinfo=_UTC)}, hints={**_UPSERT, "primary_key": "x"})],
    ),
    "keys that are missing in a hash": Rule(
        "normalizer",
        "and c.given is None",
        "",
        [
            run(
                {"x": 1},
                {},
                hints={**_UPSERT, **column("bigint", nullable=True, primary_key=True)["hints"], "primary_key": None},
            )
        ],
    ),
    "hashes of whole rows": Rule(
        "normalizer",
        'if made_of == "random":',
        'if made_of != "key_hash":',
        [run({"x": 1}, hints={"write_disposition": {"disposition": "merge", "strategy": "scd2"}})],
    ),
    "the type that dlt infers": Rule(
        "normalizer", "self._infer_column_type(value, name)", '"text"', [run({"x": "2024-01-01T00:00:00Z"}, {"y": 1})]
    ),
    "rows with nothing but ids": Rule(
        "normalizer", "yield rows.document(0)", "yield from ()", [run({"a": 1}), run({}, {"x": [{}]})]
    ),
    "columns that come later": Rule(
        "arrays",
        "if field.name in table.column_names else pa.nulls(len(table), field.type)",
        "",
        [Run([[{"n": n, "x": 1} for n in range(20)], [{"n": n, "y": 1} for n in range(20, 40)]])],
    ),
    "frames that nobody reads": Rule("hooks", "        restore(working_dir)\n", "", [run({"x": 1}, normalized=False)]),
}
