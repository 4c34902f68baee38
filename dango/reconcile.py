"""A copied folder that was changed here, and there: what becomes of each file. Pure but for git's merge of lines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dango import git

Status = Literal["new", "same", "theirs", "mine", "merged", "conflict", "removed"]


@dataclass(frozen=True, slots=True)
class File:
    """One file of a fetched source.

    `theirs` was brought up to date, `mine` is kept as changed here, `merged` holds both sides' changes. A `conflict`
    is left as it is here; `note` says why, `beside` names the file with the other side's version, and `diff` shows
    both sides of each place.
    """

    name: str
    status: Status
    note: str = ""
    beside: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """What a file holds; `mode` as for `open(2)`."""

    data: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one file: what is written to it, or beside it."""

    file: File
    blob: Blob | None = None


def plan(
    recorded: Mapping[str, str],
    mine: Mapping[str, bytes],
    theirs: Mapping[str, Blob],
    base: Callable[[], Mapping[str, Blob]],
    labels: tuple[str, str, str],
) -> Iterator[Step]:
    """What happens to each file, in the order of their names.

    Args:
        recorded: the digests of the files as they were copied.
        mine: the files as they are here now.
        theirs: the files as they are to be.
        base: gives the files as they were copied, as far as they can still be had; asked only where lines are merged.
        labels: what the three sides (here, copied, there) are called beside the marks of a conflict.
    """
    for name in sorted({*recorded, *mine, *theirs}):
        was, here, there = recorded.get(name), mine.get(name), theirs.get(name)
        if here is None and there is None:
            continue
        if here is not None and there is not None and _matches(here, digest(there.data)):
            yield Step(File(name, "same"))
        elif _matches(here, was):
            status: Status = "removed" if there is None else "new" if was is None else "theirs"
            yield Step(File(name, status), there)
        elif was == (digest(there.data) if there else None):
            yield Step(File(name, "mine"))
        elif here is None:
            yield _conflict(name, "deleted here, changed there", there)
        elif there is None:
            yield _conflict(name, "changed here, deleted there", None)
        elif was is None:
            yield _conflict(name, "new here and there, and not the same", there)
        else:
            yield _merged(name, here, base().get(name), there, was, labels)


def _merged(name: str, mine: bytes, base: Blob | None, theirs: Blob, was: str, labels: tuple[str, str, str]) -> Step:
    if base is None or digest(base.data) != was:
        return _conflict(
            name, "changed here and there, and the repository does not have the commit it came from", theirs
        )
    if b"\r\n" in mine and b"\r\n" not in base.data:
        # A checkout with other line ends differs from the base in every line.
        mine = mine.replace(b"\r\n", b"\n")
    merged = git.merge(mine, base.data, theirs.data, labels)
    if merged is None:
        return _conflict(name, "changed here and there, and no text", theirs)
    data, conflict = merged
    if not conflict:
        return Step(File(name, "merged"), Blob(data, theirs.mode))
    return _conflict(name, "the same lines were changed here and there", Blob(data, theirs.mode), _places(data))


def _conflict(name: str, note: str, theirs: Blob | None, diff: str = "") -> Step:
    return Step(File(name, "conflict", note, f"{name}.new" if theirs else "", diff), theirs)


def _places(merged: bytes) -> str:
    """The places of a merge that are marked, without what stands between them."""
    places, inside = [], False
    for line in merged.decode("utf-8", "replace").splitlines():
        inside = inside or line.startswith("<" * 7 + " ")
        if inside:
            places.append(line)
        inside = inside and not line.startswith(">" * 7 + " ")
    return "\n".join(places)


def _matches(data: bytes | None, recorded: str | None) -> bool:
    """Whether a file is what was recorded; a checkout may have given it other line ends."""
    if data is None or recorded is None:
        return data is None and recorded is None
    return recorded in (digest(data), digest(data.replace(b"\r\n", b"\n")))


def digest(data: bytes) -> str:
    """SHA-256, as the record has it."""
    return hashlib.sha256(data).hexdigest()
