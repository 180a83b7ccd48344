"""Numbers of answers and scores: ranking, classification, calibration, repetition. Pure, numpy only."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LOOP = 0.2  # an answer of which more than this share of 4-grams was said before runs in a loop
LOOP_WORDS = 12  # shorter ones repeat nothing worth a name


def rank_area(scores: Floats, is_good: Bools) -> float:
    """Return the chance that a good one scores above a bad one, ties as half (AUC); NaN when one kind is missing."""
    return float(area_of(scores, is_good)(np.ones((1, len(scores))))[0])


def area_of(scores: Floats, is_good: Bools) -> Callable[[Floats], Floats]:
    """Return the measure that is the AUC of rows, each counted as often as it was drawn."""
    good, bad = scores[is_good][:, None], scores[~is_good]
    ahead = (good > bad) + (good == bad) / 2

    def measure(drawn: Floats) -> Floats:
        of_good, of_bad = drawn[:, is_good], drawn[:, ~is_good]
        with np.errstate(invalid="ignore"):
            found: Floats = ((of_good @ ahead) * of_bad).sum(1) / (of_good.sum(1) * of_bad.sum(1))
        return found

    return measure


def rank(scores: Floats) -> Floats:
    """Return the place of each score from 1 upwards; equal ones share the middle of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middles: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return middles


def without_length(scores: Floats, lengths: Floats) -> Floats:
    """Return what is left of the scores when what log length explains by a straight line is taken away."""
    logs = np.log(np.maximum(lengths, 1.0))
    if len(scores) < 3 or np.ptp(logs) == 0:
        return scores
    slope, start = np.polyfit(logs, scores, 1)
    left: Floats = scores - (slope * logs + start)
    return left


def classify(said: Sequence[bool], wanted: Sequence[bool]) -> dict[str, float]:
    """Return accuracy, precision, recall and F1 of a yes-or-no."""
    both = list(zip(said, wanted, strict=True))
    hits, yes, right = sum(a and b for a, b in both), sum(said), sum(wanted)
    precision, recall = hits / yes if yes else 0.0, hits / right if right else 0.0
    return {
        "accuracy": sum(a == b for a, b in both) / len(both) if both else 0.0,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    }


def calibration_error(chances: Sequence[float], is_good: Sequence[bool], *, bins: int = 10) -> float:
    """Return how far mean token probability and share of liked answers lie apart (ECE)."""
    values, good = np.asarray(chances), np.asarray(is_good, np.float64)
    places = np.minimum((values * bins).astype(int), bins - 1)
    gaps = [
        (places == place).mean() * abs(values[places == place].mean() - good[places == place].mean())
        for place in range(bins)
        if (places == place).any()
    ]
    return float(sum(gaps))


def repetition(text: str) -> float:
    """Return the share of 4-grams of words that stand in the text before."""
    words = text.lower().split()
    grams = Counter(tuple(words[place : place + 4]) for place in range(len(words) - 3))
    total = sum(grams.values())
    return (total - len(grams)) / total if total else 0.0


def is_looping(text: str) -> bool:
    """Whether an answer runs in a loop."""
    return len(text.split()) >= LOOP_WORDS and repetition(text) > LOOP
