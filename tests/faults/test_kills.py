"""Exactly once: a sync is killed, at each of its steps and at random instants, and goes on as if it never was.

One case: a project with three batches is synced to the fourth and killed; its working folder is kept, lost, or an
older copy; the next sync must bring the truth, and the one after it the fifth batch and nothing else. Which cases are
tried, and how to try one again, says `cases.py`.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.faults.cases import Case, shares
from tests.faults.killing import DATASET, NORMALIZED, Base, Ended, Shop, base, gone
from tests.faults.points import ACTIONS, DUCKDB, REFRESHED
from tests.faults.truth import Truth, difference, held, unconfirmed
from tests.faults.upstream import RESOURCES

_ATTEMPTS = 9
"""How often a random instant is looked for; each time it is earlier."""


@dataclass
class Tally:
    """What became of some kills."""

    kills: int = 0
    instants: int = 0
    """How many of the kills were at a random instant."""
    steps: set[str] = field(default_factory=set)
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def base_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Base]:
    """The base of a destination, made when it is first asked for."""
    made: dict[str, Base] = {}

    def base_of(destination: str) -> Base:
        if destination not in made:
            server = None
            if destination != DUCKDB:
                server = request.getfixturevalue("postgres_server")
                database = f"dango_{secrets.token_hex(8)}"
                with server.cursor() as cursor:
                    cursor.execute(f'CREATE DATABASE "{database}"')
                server = replace(server, database=database)
            made[destination] = base(destination, tmp_path_factory.mktemp("base") / destination, server)
        return made[destination]

    return base_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("destination", "cases"),
    [
        pytest.param(destination, cases, marks=() if destination == DUCKDB else pytest.mark.postgres, id=name)
        for name, destination, cases in shares()
    ],
)
def test_a_killed_sync_goes_on_as_if_it_never_was(
    destination: str,
    cases: list[Case],
    base_of: Callable[[str], Base],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    begun = base_of(destination)
    tally = Tally()
    for case in cases:
        shop, killed = _killed(case, begun, tmp_path)
        try:
            wrong = _aftermath(case, begun, shop, killed, tally)
        finally:
            shop.drop()
        if wrong:
            tally.wrong += [str(case), *wrong, f"again: FAULTS={case} pytest tests/faults/test_kills.py", ""]
    record_property(
        "figure",
        f"{destination}: {tally.kills} kills ({len(tally.steps)} steps, {tally.instants} random instants):"
        f" {tally.lost} rows lost, {tally.doubled} rows doubled",
    )
    if tally.wrong:
        pytest.fail("\n".join(tally.wrong), pytrace=False)


def _killed(case: Case, begun: Base, folder: Path) -> tuple[Shop, Ended]:
    """A copy of the base, after the kill."""
    share = random.Random(str(case)).uniform(0.2, 1.0)
    process = "planner" if share < 0.3 else "worker"
    *earlier, options = ACTIONS[case.action]
    for attempt in range(_ATTEMPTS):
        shop = begun.shop.copied(folder / f"shop{attempt}")
        shop.at(4, case.era)
        for others in earlier:
            assert shop.sync(*others, fault=NORMALIZED).fired
            shop.befalls(case.folder)
        if case.fault is not None:
            killed = shop.sync(*options, fault=case.fault)
            break
        # A machine that is quicker than it was comes to the end before the kill.
        killed = shop.killed_after(share * begun.seconds * 0.6**attempt, process, *options)
        if killed.fired or attempt == _ATTEMPTS - 1:
            break
        shop.drop()
    return shop, killed


def _aftermath(case: Case, begun: Base, shop: Shop, killed: Ended, tally: Tally) -> list[str]:
    """What is wrong after the kill, and in the two syncs that follow."""
    if not killed.fired:
        return [f"`{case.point}` never came: {killed.said}"]
    tally.kills += 1
    tally.instants += case.fault is None
    tally.steps |= {case.point} if case.fault else set()
    wrong: list[str] = []
    old = begun.truth

    # What was there before, or what the sync brings: one or the other, whole.
    shop.settled()
    with shop.query() as query:
        found = held(query, DATASET)
        wrong += [f"after the kill: the user's {what} is gone" for what in gone(query, case.destination)]
    truth = old if not difference(old.tables, found) else _new(case, old)
    if half := difference(truth.tables, found):
        wrong.append(f"after the kill: neither the old rows nor the new: {half}")

    if len(ACTIONS[case.action]) == 1:
        shop.befalls(case.folder)
    for batch in (4, 5):
        shop.at(batch, case.era)
        truth = truth.synced(batch, case.era)
        said = shop.sync()
        if said.code != 0:
            return [*wrong, f"batch {batch}: {said.said}"]
        with shop.query() as query:
            differs = difference(truth.tables, held(query, DATASET))
            if differs:
                wrong.append(f"batch {batch}: {differs}")
            wrong += [f"batch {batch}: {told}" for told in unconfirmed(query, DATASET)]
            wrong += [f"batch {batch}: the user's {what} is gone" for what in gone(query, case.destination)]
        tally.lost += sum(differs.lost.values())
        tally.doubled += sum(differs.doubled.values())
    if said.brought != truth.brought:
        wrong.append(f"batch 5 is {truth.brought}, the sync brought {said.brought}")
    # What was extracted from a state that is gone, and never loaded, is kept.
    aside = case.folder == "abandoned" or case.action == "anew"
    left = {what for what in shop.beside() if not (aside and ".aside-" in what)} - {*begun.own}
    return wrong + [f"left over: {what}" for what in sorted(left)]


def _new(case: Case, old: Truth) -> Truth:
    """What the sync brings that is killed."""
    options = ACTIONS[case.action][-1]
    if not options:
        return old.synced(4, case.era)
    return old.refreshed(4, case.era, REFRESHED if "--resource" in options else RESOURCES)
