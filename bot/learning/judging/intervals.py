"""How sure a difference is: bootstrap intervals over clusters, and the chance of it where there is none.

Pure, numpy only. What belongs together (a thread, a fact with its phrasings) is drawn together: its rows are no
independent witnesses. The candidate is fixed and was trained on none of these rows, so every row is held out already;
k-fold cross-validation judges other models, trained on less: it says something of the recipe (`cross_validation`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
TURNS = 20_000
EXACT_CLUSTERS = 14  # so few that every way of turning signs is tried
FEW_CLUSTERS = 20  # below, an interval is shown but said to be rough
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Measure = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference with its 95 % interval; *p* is the chance of one as large in the same direction by luck alone."""

    value: float
    low: float | None
    high: float | None
    p: float
    clusters: int

    def describe(self) -> dict[str, float]:
        """Return what a figure's details say of it."""
        return {"p": self.p, "clusters": float(self.clusters), "few": float(self.clusters < FEW_CLUSTERS)}


def number_clusters(groups: Sequence[str]) -> Ints:
    """Return a number for each row, the same for rows of one group."""
    return np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def bootstrap_mean(differences: Sequence[float] | Floats, groups: Sequence[str], *, seed: int) -> Interval:
    """Return the mean of paired differences; drawn are groups, and *p* comes from turning their signs around.

    The test by signs is exact for few groups too, where the share of bootstrap draws below zero is too sure.
    """
    values, clusters = np.asarray(differences, np.float64), number_clusters(groups)
    count = int(clusters.max()) + 1 if len(clusters) else 0
    if not count:
        return Interval(0.0, None, None, 1.0, 0)
    sums, sizes = np.bincount(clusters, values).astype(np.float64), np.bincount(clusters).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, count, (RESAMPLES, count))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = (float(value) for value in np.quantile(means, (0.025, 0.975)))
    return Interval(float(values.mean()), low if count > 1 else None, high if count > 1 else None, _turn(sums), count)


def _turn(sums: Floats) -> float:
    """Return how often sums with random signs are at least as far from zero in the same direction."""
    count, toward = len(sums), math.copysign(1.0, float(sums.sum()))
    if count <= EXACT_CLUSTERS:
        signs = 1 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        signs = 1 - 2.0 * np.random.default_rng(0).integers(0, 2, (TURNS, count))
        signs[0] = 1  # what was found is one of the possible turns, so the chance is never zero
    return float((toward * (signs @ sums) >= abs(float(sums.sum())) - 1e-12).mean())


def shuffle_labels(values: Floats, is_good: NDArray[np.bool_]) -> float:
    """Return how often labels that were shuffled give the good ones a sum of *values* at least as large (permutation).

    With ranks as values that is the rank-sum test of an AUC. Unlike the normal chance of a bootstrap, whose spread
    shrinks the further an area is from one half, it is exact for few rows.
    """
    good, rng = int(is_good.sum()), np.random.default_rng(0)
    drawn = rng.permuted(np.tile(is_good, (TURNS, 1)), axis=1)
    drawn[0] = is_good  # what was found is one of the possible labels, so the chance is never zero
    return float((drawn @ values >= float(values[is_good].sum()) - 1e-9).mean()) if good else 1.0


def bootstrap(measure: Measure, groups: Sequence[str], *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Return any difference that *measure* computes, with groups drawn; *p* is the normal one.

    *measure* gets how often each row was drawn, one draw a line, and returns a value for each line; NaN where nothing
    can be computed (one class only), and such a draw is left out.
    """
    clusters = number_clusters(groups)
    count = int(clusters.max()) + 1 if len(clusters) else 0
    if not count:
        return Interval(0.0, None, None, 1.0, 0)
    value = float(measure(np.ones((1, len(clusters))))[0])
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    draws = measure(drawn[:, clusters].astype(np.float64))
    known = draws[~np.isnan(draws)]
    if len(known) < resamples / 2 or count < 2:
        return Interval(value, None, None, 1.0, count)
    low, high = (float(edge) for edge in np.quantile(known, (0.025, 0.975)))
    spread = float(known.std())
    p = 0.5 * math.erfc(abs(value) / spread / math.sqrt(2)) if spread else float(value == 0)
    return Interval(value, low, high, p, count)


def mean_of(values: Floats) -> Measure:
    """Return the measure that is the mean of *values*, each counted as often as it was drawn."""

    def measure(drawn: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            found: Floats = (drawn @ values) / drawn.sum(1)
        return found

    return measure
