"""Statistics of a benchmark: quantiles, and ratios between arms that were measured in turns, with their intervals.

Pure.
"""

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Ratio:
    """One arm's median over another's, with a bootstrap 95 % interval over *rounds* paired turns."""

    value: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        """Show the value with its interval."""
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which *share* of the values lie, between neighbours by distance; NaN if there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median_of(values: Sequence[float]) -> float:
    """Return the median of the values that are known, NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def measure_ratio(ours: Sequence[float], others: Sequence[float], *, seed: int = 0) -> Ratio:
    """Return the ratio of medians; turns of the same round are drawn together, as they shared the machine's mood."""
    pairs = list(zip(ours, others, strict=True))
    if not pairs:
        raise ValueError("a ratio needs at least one round")
    chance = random.Random(seed)
    drawn = sorted(_ratio(chance.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    return Ratio(_ratio(pairs), quantile(drawn, 0.025), quantile(drawn, 0.975), len(pairs))


def measure_drift(
    early: Sequence[Sequence[float]], late: Sequence[Sequence[float]], *, share: float, seed: int = 0
) -> Ratio:
    """Return a quantile late over early; spans of time are drawn whole, as what waits in one waits for each other.

    Those of the same place are drawn together: the same was asked in both.
    """
    if not any(early) or not any(late):
        raise ValueError("a drift needs values early and late")
    pairs = list(zip(early, late, strict=True))

    def ratio(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
        parts = zip(*pairs, strict=True)
        before, after = [quantile([value for span in part for value in span], share) for part in parts]
        return after / before if before else math.nan

    chance = random.Random(seed)
    drawn = (ratio(chance.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    known = [value for value in drawn if not math.isnan(value)]
    return Ratio(ratio(pairs), quantile(known, 0.025), quantile(known, 0.975), len(pairs))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    below = statistics.median(other for _, other in pairs)
    return statistics.median(own for own, _ in pairs) / below if below else float("inf")


def measure_slope(points: Sequence[tuple[float, float]]) -> float:
    """Return how much y grows with each x, by least squares; zero for fewer than two points."""
    if len(points) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
