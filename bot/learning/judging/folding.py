"""Which votes each fold of a cross-validation holds out: nothing that belongs together is torn apart. Pure.

A thread with all questions like its own, and everybody whose words are in it, stay in one fold, however few folds that
leaves. What has no votes in its surroundings (facts, rehearsal, canaries) is trained on by every fold.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.language import N_
from bot.learning import sentences
from bot.learning.data.splitting import Threads
from bot.learning.examples import Example, Source, Split, Use
from bot.learning.judging.declaring import ENOUGH_VOTES, FEWEST_FOLDED
from bot.learning.judging.likelihood import MOST_ROWS, OWN_WORDS

VOTED = {Source.LIKED, Source.DISLIKED, *OWN_WORDS}


@dataclass(frozen=True, slots=True)
class Folds:
    """How many folds there are, and which of them holds out the votes of a group."""

    count: int
    where: Mapping[str, int]

    def rows(self, examples: Sequence[Example], number: int) -> Iterator[Example]:
        """Yield the rows of a fold: its votes as the test split, and what its adapter is trained on.

        What was held out by the other folds is trained on; held-out wordings of facts are not, as in the whole run.
        """
        left = MOST_ROWS // self.count
        for example in examples:
            if self.where.get(example.group) == number:
                if is_vote(example) and left:
                    left -= 1
                    yield replace(example, split=Split.TEST)
            elif example.split is not Split.TEST:
                yield example
            elif example.source in VOTED:
                yield replace(example, split=Split.TRAIN)


def is_vote(example: Example) -> bool:
    """Whether somebody said of an answer, or of two of a model's own, which is good."""
    if example.use is Use.PAIR:
        return example.source in OWN_WORDS
    return example.use is Use.THUMB and example.source is not Source.IMPLICIT


def needs_folds(examples: Sequence[Example]) -> bool:
    """Whether there are votes, and too few of them held out to tell much."""
    votes = [example for example in examples if is_vote(example)]
    return bool(votes) and sum(example.split is Split.TEST for example in votes) < ENOUGH_VOTES


def split_folds(examples: Sequence[Example], *, most: int) -> Folds:
    """Return the folds, at most so many, with about as many votes in each; fewer than two: nothing can be held out."""
    threads = Threads()
    for example in examples:
        threads.tie(example.group, ("group", example.group))
        for person in example.people:
            threads.tie(example.group, ("person", person))
    together = {example.group: threads.find(example.group) for example in examples}
    votes = Counter(together[example.group] for example in examples if is_vote(example))
    count = min(most, len(votes))
    sizes, place = [0] * count, dict[str, int]()
    for name in sorted(votes, key=lambda name: (-votes[name], name)):
        place[name] = sizes.index(min(sizes))
        sizes[place[name]] += votes[name]
    return Folds(count, {group: place[name] for group, name in together.items() if name in place})


def find_lack(examples: Sequence[Example], folds: Folds) -> str:
    """Return why votes do not suffice for a cross-validation, empty when they do."""
    votes = [example for example in examples if is_vote(example)]
    liked = sum(example.use is Use.PAIR or bool(example.is_liked) for example in votes)
    disliked = sum(example.use is Use.PAIR or not example.is_liked for example in votes)
    if min(liked, disliked) < FEWEST_FOLDED:
        return sentences.TOO_FEW_VOTES.format(liked=liked, disliked=disliked, needed=FEWEST_FOLDED)
    if folds.count < 2:
        return N_("all votes hang together by their threads and people, so that no part of them can be held out.")
    return ""
