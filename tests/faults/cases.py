"""Which kills are tried: all of `points`, with each fate of the working folder, and random instants; a sample of them.

`FAULTS` in the environment says how many, or names some (`duckdb-sync-extract.after-kept`); `FAULTS_SEED` which.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.points import ACTIONS, DESTINATIONS, FOLDERS, POINTS, Fault

_RANDOM = "random"
_SAMPLE = 30
_SHARE = 50


@dataclass(frozen=True)
class Case:
    """One kill. Its name says all of it; a random one's instant is drawn from its name."""

    destination: str
    action: str
    point: str
    folder: str

    def __str__(self) -> str:
        return f"{self.destination}-{self.action}-{self.point}-{self.folder}"

    @property
    def era(self) -> int:
        """The era of the syncs that are killed."""
        return int(any(ACTIONS[self.action]))

    @property
    def fault(self) -> Fault | None:
        """None: at a random instant."""
        return dict(fault for point in POINTS for fault in point.faults(self.destination)).get(self.point)


def shares() -> Iterator[tuple[str, str, list[Case]]]:
    """The cases to run, by destination, so many that a test takes minutes; each share with a name."""
    cases = _chosen()
    for destination in DESTINATIONS:
        own = [case for case in cases if case.destination == destination]
        for number, start in enumerate(range(0, len(own), _SHARE), 1):
            yield f"{destination}-{number}", destination, own[start : start + _SHARE]


def _chosen() -> list[Case]:
    wanted = os.environ.get("FAULTS", str(_SAMPLE))
    if not wanted.isdigit():
        cases = [Case(*name.split("-")) for name in wanted.split()]
        unknown = [case.point for case in cases if not case.fault and not case.point.startswith(_RANDOM)]
        assert not unknown, f"FAULTS={wanted}: no such point: {unknown}"
        return cases
    dice = random.Random(os.environ.get("FAULTS_SEED", "1"))
    named = [*itertools.islice(_named(dice), int(wanted) - int(wanted) // 4)]
    return [*named, *_random(dice, int(wanted) - len(named))]


def _named(dice: random.Random) -> Iterator[Case]:
    """Every point with every action and folder: in any order, but each point once before any comes twice."""
    every = [
        Case(destination, action, name, folder)
        for destination in DESTINATIONS
        for point in POINTS
        for name, _ in point.faults(destination)
        for action, folder in itertools.product(point.actions, point.folders)
    ]
    dice.shuffle(every)
    seen = Counter[tuple[str, str]]()
    turns = {}
    for case in every:
        turns[case] = seen[case.destination, case.point]
        seen[case.destination, case.point] += 1
    return iter(sorted(every, key=lambda case: turns[case]))


def _random(dice: random.Random, count: int) -> Iterator[Case]:
    for _ in range(count):
        action = dice.choice((*ACTIONS, "sync", "sync"))
        yield Case(dice.choice(DESTINATIONS), action, f"{_RANDOM}{dice.randrange(10**6)}", dice.choice(FOLDERS))
