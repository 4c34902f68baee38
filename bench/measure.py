"""Commands measured side by side: in turns, each in a fresh interpreter, each result checked.

What is measured of one run is a `Sample`: `wall` and `cpu` (user and system, children included) in seconds, `rss`
(the largest process) and `tree` (all processes at once) in bytes, `load` (the machine's before it), and whatever else
a contestant reads from what it has done.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Sample = dict[str, float]
TIMEOUT_SECONDS = 1800
FAR = 3
"""A peer that takes so many times dango's time is not run again."""


class BenchError(Exception):
    """The bench cannot go on: a command failed, or what it did is wrong. `code`: the command's exit code, else 1."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Unable(Exception):
    """A contestant cannot take part, and why."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, where, and with what in the environment besides this process's."""

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def nothing() -> None:
    """Neither to be prepared nor to be checked."""


def no_more(said: str) -> Sample:
    """Nothing but what is measured of every command."""
    return {}


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do a job."""

    label: str
    command: Command
    prepare: Callable[[], None] = nothing
    """Before every run, not timed: everything as if it had never run."""
    check: Callable[[], None] = nothing
    """After every run, not timed: raises `BenchError` where the result is wrong."""
    read: Callable[[str], Sample] = no_more
    """More measures, or others in place of those taken, from what the command printed."""
    rounds: int | None = None
    """In so many rounds only; None: in all."""
    peer: bool = False
    """Not ours: where it fails it is left out, and all else goes on."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The ways to do one job, `reference` and `dango` among them, and who could not take part, with why."""

    contestants: Mapping[str, Contestant]
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured, by contestant, and who was left out, with why."""

    samples: dict[str, list[Sample]]
    skipped: dict[str, str]


Bound = Literal["ratio", "speedup", "difference", "value"]


@dataclass(frozen=True, slots=True)
class Target:
    """What must be reached: dango against another contestant, both by the median of one measure.

    `ratio`: dango ÷ other at most `bound`; `speedup`: other ÷ dango at least; `difference`: dango less other at most;
    `value`: dango's own at most.
    """

    kind: Bound
    bound: float
    measure: str = "wall"
    against: str = "reference"

    def reached(self, dango: float, other: float) -> float:
        """What compares with the bound."""
        return {"ratio": dango / other, "speedup": other / dango, "difference": dango - other, "value": dango}[
            self.kind
        ]

    def met(self, reached: float) -> bool:
        """Whether that is good enough."""
        return reached >= self.bound if self.kind == "speedup" else reached <= self.bound


def run(command: Command) -> tuple[Sample, str]:
    """Runs a command once; returns what it took, and what it printed. Raises `BenchError` where it fails."""
    with tempfile.TemporaryDirectory(prefix="dango-bench-") as folder:
        out, said = Path(folder) / "taken.json", Path(folder) / "said"
        errors = Path(folder) / "errors"
        launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), str(out)]
        load = os.getloadavg()[0]
        with said.open("wb") as stdout, errors.open("wb") as stderr:
            process = subprocess.Popen(
                [*launcher, *command.words],
                cwd=command.folder,
                # Modules of a project are compiled once, as Python does it where nothing else is said.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            code = _waited(process)
        printed = said.read_text(errors="replace")
        if code != 0:
            told = (printed + errors.read_text(errors="replace")).strip()
            raise BenchError(f"{Path(command.words[0]).name} … ended with {code}\n{told[-2000:]}", code)
        return {**json.loads(out.read_text()), "load": load}, printed


def _waited(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"no end after {TIMEOUT_SECONDS} s") from late
    finally:
        # Also where this process is interrupted: the session is the command's own, nobody else would end it.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def interleaved(contest: Contest, rounds: int, say: Callable[[str], None]) -> Outcome:
    """Runs every contestant once a round, and the next round then: noise comes to all alike.

    Raises:
        BenchError: when one that is no peer fails, or has done something wrong.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contest.contestants}
    skipped = dict(contest.skipped)
    failed: set[str] = set()

    def done(name: str, turn: int) -> bool:
        contestant, taken = contest.contestants[name], samples[name]
        far = contestant.peer and bool(taken) and taken[0]["wall"] > FAR * samples["dango"][0]["wall"]
        return name in failed or far or (contestant.rounds is not None and turn >= contestant.rounds)

    # What the data's making left to be written would be counted to the first round.
    os.sync()
    for turn in range(rounds):
        for name, contestant in contest.contestants.items():
            if done(name, turn):
                continue
            try:
                sample = _once(contestant)
            except BenchError as error:
                if not contestant.peer:
                    raise BenchError(f"{contestant.label}: {error}", error.code) from error
                # What a foreign program says may name paths and passwords; it is shown, and not kept.
                failed.add(name)
                skipped[contestant.label] = str(error).partition("\n")[0]
                say(f"  {contestant.label}: left out: {error}")
                continue
            samples[name].append(sample)
            say(f"  {contestant.label}: {sample['wall']:.2f} s, cpu {sample['cpu']:.2f} s")
    return Outcome({name: taken for name, taken in samples.items() if taken and name not in failed}, skipped)


def _once(contestant: Contestant) -> Sample:
    contestant.prepare()
    sample, said = run(contestant.command)
    contestant.check()
    return {**sample, **contestant.read(said)}


def median(samples: Iterable[Sample], measure: str) -> float:
    """Of one measure. Raises `KeyError` where it was not taken."""
    return statistics.median(sample[measure] for sample in samples)
