"""Whether a benefit is there for everybody, or made by a few: it is measured again without those who carry it most.

Pure. It is the guard against one person, or three together, who vote to bend the assistant.
"""

import math
from collections.abc import Sequence

import numpy as np

from bot.learning.examples import Example
from bot.learning.judging.intervals import Floats, Measure, bootstrap

ENOUGH_PEOPLE = 4  # with fewer, those who are left are nobody
ENOUGH_VOTERS = 3
MANY_PEOPLE = 7  # from here on three may act together


def leave_out_people(
    measure: Measure, people: Sequence[Sequence[str]], groups: Sequence[str], *, seed: int, enough: int = ENOUGH_PEOPLE
) -> dict[str, float]:
    """Return the benefit without the one person (of many: the three) whose rows carry it most, and its chance.

    *measure* computes the benefit as for `bootstrap`, *people* says whose part each row is. Nothing but their number
    where fewer than *enough* have a part in it.
    """
    everybody = sorted({person for row in people for person in row})
    if len(everybody) < enough:
        return {"people": float(len(everybody))}
    kept = np.ones(len(people))
    for _ in range(3 if len(everybody) >= MANY_PEOPLE else 1):
        without = np.array([[person not in row for row in people] for person in everybody]) * kept
        values = np.nan_to_num(measure(without), nan=-math.inf)
        values[without.sum(1) == kept.sum()] = math.inf  # who is out already
        kept = without[int(values.argmin())]
    rows = np.flatnonzero(kept).tolist()

    def measure_kept(drawn: Floats) -> Floats:
        whole = np.zeros((len(drawn), len(people)))
        whole[:, rows] = drawn
        return measure(whole)

    interval = bootstrap(measure_kept, [groups[row] for row in rows], seed=seed)
    if math.isnan(interval.value) or not len(rows):  # without them nobody's votes of one kind are left
        return {"people": float(len(everybody)), "without": 0.0, "p_without": 1.0}
    return {"people": float(len(everybody)), "without": interval.value, "p_without": interval.p}


def leave_out_voters(
    measure: Measure, rows: Sequence[Example], groups: Sequence[str], *, seed: int
) -> dict[str, float]:
    """Return the same of votes: whose they are counts, not who asked, for anybody may judge what others were told."""
    voters = [row.said_by or row.people for row in rows]
    return leave_out_people(measure, voters, groups, seed=seed, enough=ENOUGH_VOTERS)
