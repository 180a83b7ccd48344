"""Whether a benefit is there for everybody, or made by a few: it is measured again without those who carry it most.

Pure. It is the guard against one person, or three together, who vote to bend the assistant.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bot.learning.judging.intervals import Ints, bootstrap

ENOUGH_PEOPLE = 4  # with fewer, those who are left are nobody
MANY_PEOPLE = 7  # from here on three may act together


def leave_out_people(
    measure: Callable[[Ints], float], people: Sequence[Sequence[str]], groups: Sequence[str], *, seed: int
) -> dict[str, float]:
    """Return the benefit without the one person (of many: the three) whose rows carry it most, and its chance.

    *measure* computes the benefit of chosen rows, *people* says whose words are in each. Empty where too few people
    have a part in it.
    """
    everybody = sorted({person for row in people for person in row})
    if len(everybody) < ENOUGH_PEOPLE:
        return {"people": float(len(everybody))}
    rows = list(range(len(people)))
    for _ in range(3 if len(everybody) >= MANY_PEOPLE else 1):
        without = [
            [row for row in rows if person not in people[row]]
            for person in sorted({person for row in rows for person in people[row]})
        ]
        rows = min(
            (left for left in without if len(left)), key=lambda left: _known(measure(np.array(left))), default=rows
        )
    kept = np.array(rows)
    interval = bootstrap(lambda chosen: measure(kept[chosen]), [groups[row] for row in rows], seed=seed, resamples=400)
    if math.isnan(interval.value):  # without them nobody's votes of one kind are left
        return {"people": float(len(everybody)), "without": 0.0, "p_without": 1.0}
    return {"people": float(len(everybody)), "without": interval.value, "p_without": interval.p}


def _known(value: float) -> float:
    return -math.inf if math.isnan(value) else value
