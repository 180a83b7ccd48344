"""What a run may call a benefit, said before its training from what the data holds. Pure."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bot.learning.examples import Example, Source, Split, Use
from bot.learning.judging.measures import rank_area
from bot.learning.judging.people import ENOUGH_PEOPLE

FACTS, ANSWERS, PAIRS, THUMBS = "taught_facts", "right_answer", "pair_accuracy", "thumbs_auc"
FEWEST_FACTS = 8  # with fewer, all right by luck is not rare enough
FEWEST_PAIRS = 12
FEWEST_THUMBS = 8  # of each kind
ENOUGH_VOTES = (
    100  # held out; fewer give a share a 95 % interval wider than the least gain, ten points: they are folded
)
FEWEST_FOLDED = 4  # of each kind, as in training: with fewer there is nothing to tell apart
CLEAR_TASTE = 0.25  # liked and disliked lengths that overlap less than this are a taste for one of them


def declare(examples: Sequence[Example]) -> frozenset[str]:
    """Return the metrics that may show this run's benefit, because enough is held out to show it."""
    rows = [row for row in examples if row.split is Split.TEST]
    facts = {row.group for row in rows if row.source in {Source.CORRECTION, Source.PHRASING} and row.use is Use.SFT}
    pairs = {row.group for row in rows if row.use is Use.PAIR and row.source in {Source.REGENERATED, Source.COMPARED}}
    thumbs = [bool(row.is_liked) for row in rows if row.use is Use.THUMB]
    declared = set[str]()
    if len(facts) >= FEWEST_FACTS:
        declared |= {FACTS, ANSWERS}
    if len(pairs) >= FEWEST_PAIRS:
        declared.add(PAIRS)
    if min(sum(thumbs), len(thumbs) - sum(thumbs)) >= FEWEST_THUMBS:
        declared.add(THUMBS)
    return frozenset(declared)


def taught_length(examples: Sequence[Example]) -> float:
    """Return the length of liked over that of disliked answers where one is clearly preferred, NaN where none is.

    Where four people or more said it, it has to be so without whoever said most.
    """
    telling = [row for row in examples if _says(row, is_liked=True) or _says(row, is_liked=False)]
    said = Counter(person for row in telling for person in row.said_by[:1])
    most = {max(said, key=said.__getitem__)} if len(said) >= ENOUGH_PEOPLE else set[str]()
    telling = [row for row in telling if not most.intersection(row.said_by[:1])]
    good = [len(row.completion_ids) for row in telling if _says(row, is_liked=True)]
    bad = [len(row.rejected_ids or row.completion_ids) for row in telling if _says(row, is_liked=False)]
    if min(len(good), len(bad)) < FEWEST_THUMBS:
        return math.nan
    lengths, is_good = np.array([*good, *bad], np.float64), np.array([True] * len(good) + [False] * len(bad))
    area = rank_area(lengths, is_good)
    return float(np.median(good) / np.median(bad)) if min(area, 1 - area) < CLEAR_TASTE else math.nan


def _says(row: Example, *, is_liked: bool) -> bool:
    """Whether an example says what a liked (or disliked) answer is; of a pair both are said."""
    if row.source in {Source.REHEARSAL, Source.CANARY, Source.IMPLICIT}:
        return False
    return row.use is Use.PAIR or (row.use is Use.THUMB and row.is_liked is is_liked)
