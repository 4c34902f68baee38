"""What past runs left behind, as it travels from a worker to a face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dango.job import Job

LeftoverKind = Literal[
    "pending", "unfinished", "aside", "refresh", "orphan", "scratch", "corrupt", "crashed", "draft", "parts",
    "trial", "staging", "open load", "lease", "drift", "held", "unreachable", "unexamined",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that a past run left behind, or why it could not be looked for."""

    source: str
    """Whose it is; empty for the project's own."""
    kind: LeftoverKind
    what: str
    where: str = ""
    """A path in the project, a `dataset.table`, or the name of a destination."""
    needs: str = ""
    """The next command, or what `doctor --fix` does; empty where nothing needs to be done."""
    fixable: bool = False
    fixed: bool = False

    @property
    def open(self) -> bool:
        """Whether somebody has something to do still."""
        return bool(self.needs) and not self.fixed


@dataclass(frozen=True, slots=True)
class Examination:
    """A destination to be looked into for what past runs left there."""

    job: Job
    """Of any source that goes there."""
    datasets: Mapping[str, str]
    """The datasets, by the names of their sources."""
    fix: bool = False
