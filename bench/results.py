"""What was measured, kept as JSON: one file, of one machine; each job as it was measured last."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from bench.jobs import Job
from bench.measure import Sample, Target, median

LATEST = Path(__file__).with_name("results") / "latest.json"
PACKAGES = ("dlt", "duckdb", "pyarrow", "SQLAlchemy", "psycopg2-binary", "typer")


@dataclass(frozen=True, slots=True)
class Entry:
    """One measurement of a job. `reason` says why there is none, where there is none."""

    rows: int
    date: str
    labels: dict[str, str] = field(default_factory=dict)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    def median(self, contestant: str, measure: str) -> float:
        """Raises `KeyError` where it was not measured."""
        return median(self.samples[contestant], measure)


@dataclass(frozen=True, slots=True)
class Results:
    """All measurements. `growth` has a list by job, with growing rows."""

    machine: Mapping[str, str]
    jobs: dict[str, Entry] = field(default_factory=dict)
    growth: dict[str, list[Entry]] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Writes them in place of what was there."""
        file.parent.mkdir(parents=True, exist_ok=True)
        document = json.loads(json.dumps(asdict(self)), parse_float=lambda text: round(float(text), 4))
        file.write_text(json.dumps(document, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a target was met: what was reached, and the least and the most of a single round."""

    target: Target
    reached: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """By the medians."""
        return self.target.met(self.reached)


def verdicts(job: Job, entry: Entry) -> Iterator[Verdict]:
    """What became of a job's targets; nothing of one whose contestants were not measured."""
    for target in job.targets:
        other = "dango" if target.kind == "value" else target.against
        if {"dango", other} <= entry.samples.keys():
            each = [
                target.reached(mine[target.measure], theirs[target.measure])
                for mine, theirs in zip(entry.samples["dango"], entry.samples[other], strict=False)
            ]
            reached = target.reached(entry.median("dango", target.measure), entry.median(other, target.measure))
            yield Verdict(target, reached, min(each), max(each))


def read(file: Path) -> Results:
    """What a file holds. Raises `FileNotFoundError`."""
    document = json.loads(file.read_text())
    return Results(
        document["machine"],
        {name: Entry(**entry) for name, entry in document["jobs"].items()},
        {name: [Entry(**entry) for entry in entries] for name, entries in document["growth"].items()},
    )


def continued(file: Path) -> Results:
    """The results of a file to be added to; empty ones where it is of another machine or other versions."""
    here = Results(machine())
    if not file.exists():
        return here
    earlier = read(file)
    return earlier if earlier.machine == here.machine else here


def machine() -> dict[str, str]:
    """What figures depend on; neither names nor paths of this machine."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1024**3:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES},
        "PostgreSQL": (_said("psql", "--version").split() or [*"???"])[2],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return _said("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _said(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
