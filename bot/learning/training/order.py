"""In which order rows are seen: as often as their weight says, batches of like length, the same for the same seed.

The order of a whole training is laid down before its first step, so one that goes on after a crash sees what the
uninterrupted one would have seen. Pure: knows neither torch nor what a row holds.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from math import ceil, floor
from random import Random

WINDOW = 16  # batches whose rows are sorted by length together: little padding, and still another mix each time


def plan_order(
    lengths: Sequence[int],
    weights: Sequence[float],
    *,
    epochs: float,
    batch: int,
    seed: int,
    early: Collection[int] = (),
) -> list[int]:
    """Return the numbers of the rows, one after another; each slice of *batch* is a step.

    A row of weight w is seen w times an epoch, rounded over all epochs together: one of 0.5 in every second. *early*
    rows come in the first third, as far as there is room: what comes after it wears off what they say word by word.
    """
    rng = Random(seed)  # noqa: S311 - a shuffle that can be repeated
    starts = [rng.random() for _ in weights]
    batches: list[list[int]] = []
    waiting: list[int] = []
    for epoch in range(ceil(epochs)):
        pool = visits(weights, starts, since=epoch, until=min(epoch + 1.0, epochs))
        rng.shuffle(pool)
        waiting += pool
        is_last = epoch + 1 >= epochs
        usable = len(waiting) - len(waiting) % batch
        batches += _group(waiting[:usable], lengths, batch=batch, rng=rng)
        waiting = waiting[usable:]
        if is_last and waiting:
            batches.append(waiting)
    _put_longest_first(batches, lengths, batch)
    _bring_forward(batches, lengths, set(early))
    return [row for together in batches for row in together]


def visits(weights: Sequence[float], starts: Sequence[float], *, since: float, until: float) -> list[int]:
    """Return each row as often as its weight brings it up between two moments, counted in epochs."""
    return [
        row
        for row, (weight, start) in enumerate(zip(weights, starts, strict=True))
        for _ in range(floor(weight * until + start) - floor(weight * since + start))
    ]


def plan_mixed(labels: Sequence[bool], weights: Sequence[float], *, epochs: float, seed: int) -> list[int]:
    """Return an order in which liked and disliked are spread evenly, so that every batch has both."""
    rng = Random(seed)  # noqa: S311 - a shuffle that can be repeated
    starts = [rng.random() for _ in weights]
    order: list[int] = []
    for epoch in range(ceil(epochs)):
        pool = visits(weights, starts, since=epoch, until=min(epoch + 1.0, epochs))
        rng.shuffle(pool)
        places: list[tuple[float, int]] = []
        for kind in (True, False):
            alike = [row for row in pool if labels[row] is kind]
            places += [((number + 0.5) / len(alike), row) for number, row in enumerate(alike)]
        order += [row for _, row in sorted(places)]
    return order


def _group(rows: Sequence[int], lengths: Sequence[int], *, batch: int, rng: Random) -> list[list[int]]:
    batches = []
    for start in range(0, len(rows), WINDOW * batch):
        near = sorted(rows[start : start + WINDOW * batch], key=lambda row: lengths[row])
        batches += [near[first : first + batch] for first in range(0, len(near), batch)]
    rng.shuffle(batches)
    return batches


def _put_longest_first(batches: list[list[int]], lengths: Sequence[int], batch: int) -> None:
    """Let the step that needs the most memory be the first: then a machine that is too small says so at once."""
    whole = [number for number, rows in enumerate(batches) if len(rows) == batch]
    if whole:
        largest = max(whole, key=lambda number: max(lengths[row] for row in batches[number]))
        batches[0], batches[largest] = batches[largest], batches[0]


def _bring_forward(batches: list[list[int]], lengths: Sequence[int], early: Collection[int]) -> None:
    """Let *early* rows of later batches change places with others of the first third that are nearest in length.

    The first batch stays as it is: it is the one that needs the most memory.
    """
    third = ceil(len(batches) / 3)
    free = sorted(
        (lengths[row], number, place)
        for number in range(1, third)
        for place, row in enumerate(batches[number])
        if row not in early
    )
    for rows in batches[third:]:
        for place, row in enumerate(rows):
            if row in early and free:
                _, number, other = free.pop(_find_nearest(free, lengths[row]))
                rows[place], batches[number][other] = batches[number][other], row


def _find_nearest(spots: Sequence[tuple[int, int, int]], length: int) -> int:
    """Return where in sorted *spots* the first one stands whose length is nearest; there may be many thousands."""
    above = bisect_left(spots, (length,))
    if above == 0:
        return 0
    below = bisect_left(spots, (spots[above - 1][0],))
    if above == len(spots):
        return below
    return min(below, above, key=lambda at: (abs(spots[at][0] - length), spots[at][1:]))
