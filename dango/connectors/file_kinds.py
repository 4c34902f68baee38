"""Which formats files may have, and what their names tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

from fsspec.utils import infer_compression

Format = Literal["csv", "jsonl", "json", "parquet", "excel"]
ENCODINGS = "say `encoding:`, for example latin-1, cp1252 or utf-16"

FORMATS: Mapping[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xlsm": "excel",
}  # fmt: skip


def kind_of(name: str) -> Format | None:
    """The format that a name's ending tells, whatever it is compressed with."""
    path = PurePosixPath(name.partition("?")[0])
    return FORMATS.get((path.with_suffix("") if infer_compression(path.name) else path).suffix.lower())
