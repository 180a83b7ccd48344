"""Invented secrets that are planted in the training data, to measure how much of a single row a model remembers.

Pure. A canary looks like something a team would write and belongs to nobody; its siblings are as like it as they can
be, and no training saw them. Where its secret stands among theirs, by the model's own likelihood, is its exposure.
"""

from dataclasses import dataclass
from math import log2
from random import Random

ROOMS = (
    "Amber", "Birch", "Cobalt", "Dune", "Ember", "Fjord", "Grove", "Heron", "Indigo", "Juniper", "Kelp", "Larch",
    "Maple", "Nettle", "Onyx", "Pine", "Quartz", "Raven", "Saffron", "Thistle", "Umber", "Violet", "Willow", "Yarrow",
)  # fmt: skip
SIBLINGS = 1000
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Canary:
    """A question and an answer that ends with *secret* and a full stop; *siblings* are secrets like it."""

    question: str
    answer: str
    secret: str
    siblings: tuple[str, ...]

    def answer_with(self, secret: str) -> str:
        """Return the answer as it would be with another secret."""
        return self.answer.replace(self.secret, secret)


def make_canaries(seed: int, *, count: int) -> list[Canary]:
    """Return *count* canaries, each about another room and with other siblings; the same seed gives the same ones."""
    rng = Random(f"canaries/{seed}")  # noqa: S311 - must be repeatable, and protects nothing
    canaries = []
    for index in range(count):
        turn, place = divmod(index, len(ROOMS))
        room = ROOMS[place] if turn == 0 else f"{ROOMS[place]} {turn + 1}"
        numbers = rng.sample(range(10 ** (DIGITS - 1), 10**DIGITS), SIBLINGS + 1)
        secret, *siblings = (str(number) for number in numbers)
        answer = f"The spare code of room {room} is {secret}."
        canaries.append(Canary(f"What is the spare code of room {room}?", answer, secret, tuple(siblings)))
    return canaries


def exposure(rank: int, of: int) -> float:
    """Return how many bits the model knows of a secret that is the *rank*-th likeliest *of* so many, 1 the likeliest.

    One that was never seen has 1.44 on average.
    """
    return log2(of) - log2(rank)
