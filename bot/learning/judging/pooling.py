"""What the folds of a cross-validation say together: accuracy, precision, recall and F1 with their intervals. Pure.

Each fold's adapter is asked about the votes that it was not trained on. Of two answers the one that gained more, and of
single ones those that gained more than the middle one of the fold, count as said to be liked: no label is needed for
that, and folds whose adapters went differently far can be pooled. To the base all have gained the same, nothing; so
worse than guessing and worse than the base are one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bot.language import N_
from bot.learning import sentences
from bot.learning.examples import Example, Use
from bot.learning.figures import Figure, Role
from bot.learning.judging.contest import note_few
from bot.learning.judging.intervals import bootstrap, shuffle_labels
from bot.learning.judging.likelihood import voted_on
from bot.learning.judging.measures import Floats

ACCURACY, NAMES = "cross_accuracy", (N_("accuracy"), N_("precision"), N_("recall"), "F1")
Margins = Mapping[str, Sequence[float]]
Rate = Callable[[Floats, Floats, Floats], Floats]
# From the shares of answers that are said to be liked rightly, that are said to be liked, and that are liked.
RATES: dict[str, Rate] = {
    "accuracy": lambda hits, said, good: 1 - said - good + 2 * hits,
    "precision": lambda hits, said, _: hits / said,
    "recall": lambda hits, _, good: hits / good,
    "F1": lambda hits, said, good: 2 * hits / (said + good),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer that a fold held out: whether it is said to be liked, and whether it is."""

    example: Example
    is_said: bool
    is_good: bool


def judge_fold(held_out: Sequence[Example], margins: Margins) -> list[Judged]:
    """Return what a fold's adapter says of the votes that it was not trained on; *margins* are by an example's id."""
    known = [row for row in held_out if row.id in margins]
    thumbs = [row for row in known if row.use is Use.THUMB]
    middle = float(np.median([margins[row.id][0] for row in thumbs])) if thumbs else 0.0
    judged = [Judged(row, margins[row.id][0] > middle, bool(row.is_liked)) for row in thumbs]
    for row in known:
        if row.use is Use.PAIR:
            chosen, rejected = margins[row.id]
            judged += [Judged(row, chosen > rejected, True), Judged(row, rejected > chosen, False)]
    return judged


def pool(judged: Sequence[Judged], *, folds: int, seed: int) -> tuple[Figure, ...]:
    """Return the figures of all folds together beside guessing as often; none where nothing is told apart."""
    said = np.array([row.is_said for row in judged], np.bool_)
    good = np.array([row.is_good for row in judged], np.bool_)
    if not len(judged) or said.all() or not said.any() or good.all() or not good.any():
        return ()
    groups = voted_on([row.example for row in judged])
    luck = shuffle_labels(-said.astype(np.float64), good)
    return tuple(_figure(name, said, good, groups, folds=folds, seed=seed, luck=luck) for name in NAMES)


def _figure(
    name: str,
    said: np.ndarray,
    good: np.ndarray,
    groups: Sequence[str],
    *,
    folds: int,
    seed: int,
    luck: float,
) -> Figure:
    rate, columns = RATES[name], np.stack([said & good, said, good]).astype(np.float64)

    def measure(drawn: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return rate(*(columns @ drawn.T / drawn.sum(1)))

    def guess(drawn: Floats) -> Floats:
        _, says, is_good = columns @ drawn.T / drawn.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return rate(says * is_good, says, is_good)

    own, gain = (bootstrap(one, groups, seed=seed) for one in (measure, lambda drawn: measure(drawn) - guess(drawn)))
    details = {"folds": float(folds), "worse_by_luck": luck}
    if own.low is not None and own.high is not None:
        details |= {"from": own.low, "to": own.high}
    label = sentences.FOLDS_LABEL.format(rate=name)
    return Figure(
        metric=f"cross_{name.lower()}",
        label=note_few(label, gain.clusters),
        role=Role.FOLDS,
        candidate=own.value,
        incumbent=own.value - gain.value,
        n=len(said),
        low=gain.low,
        high=gain.high,
        unit="share",
        details=gain.describe() | details,
    )


def say_pooled(figures: Sequence[Figure]) -> str:
    """Say the figures of a cross-validation in a sentence."""
    rates = {name.lower(): _say_rate(name, figure) for name, figure in zip(NAMES, figures, strict=True)}
    return sentences.FOLDS.format(folds=figures[0].details["folds"], count=figures[0].n, **rates)


def _say_rate(name: str, figure: Figure) -> str:
    low, high = figure.details.get("from"), figure.details.get("to")
    sentence = sentences.RATE if low is None or high is None else sentences.RATE_BETWEEN
    return sentence.format(rate=name, share=figure.candidate, low=low, high=high, guessed=figure.incumbent)
