"""What ratings say about an adapter that is served, at any moment and as often as one likes to look.

Pure. A likelihood ratio against "at least as good as the floor", averaged over worse rates, is an e-process: whatever
the true rate above the floor, and whenever one looks, it exceeds 1 / alpha with probability alpha at most (Ville). A
posterior that is looked at after every vote has no such bound.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bot.learning import sentences
from bot.learning.judging.measures import is_looping
from bot.storage.tables import Answer, AnswerState

ALPHA = 0.05
MARGIN = 0.02  # rates nearer to the floor than this are not looked for: there is no harm to speak of
TOLERATED = 0.05  # a candidate proven to lose less than this may replace what is served
QUIET_VOTES, QUIET_TIME = 50, timedelta(days=7)
FLOOR_DOUBT = 0.20  # the floor is the lower bound that the true rate misses with this probability
LEAST_FLOOR, MOST_FLOOR = 0.05, 0.98
GRID = 400
BREACH, BREACH_WINDOW = 3, 20  # so many broken answers of so many need no statistics
SEVERAL = 4  # from so many people on, one of them alone decides nothing
MANY = 7  # and from so many on, two
ALPHA_WITHOUT = 1 / 3  # luck allowed to what the others say of harm, without the one who says most of it
Floats = NDArray[np.float64]


def choose_floor(ups: int, downs: int) -> float:
    """Return the up-rate below which a successor is worse, from the votes on what is served: a one-sided 80 % bound."""
    rates = (np.arange(20_000) + 0.5) / 20_000
    density = _log_density(rates, ups, downs)
    mass = np.cumsum(np.exp(density - density.max()))
    bound = float(rates[int(np.searchsorted(mass, FLOOR_DOUBT * mass[-1]))])
    return min(max(bound, LEAST_FLOOR), MOST_FLOOR)


def log_evidence(ups: int, downs: int, *, floor: float, margin: float = MARGIN) -> float:
    """Return the log evidence that the true up-rate is below *floor*; above log(1 / alpha) it is believed."""
    rates, weights = _worse_rates(floor, margin)
    return _average(ups * np.log(rates / floor) + downs * np.log((1 - rates) / (1 - floor)), weights)


def log_evidence_of_no_harm(ups: int, downs: int, *, floor: float, tolerated: float = TOLERATED) -> float:
    """Return the log evidence that the true up-rate is above *floor* less what is *tolerated*: the same test, mirrored.

    The mirrored test counts downs as ups, so its own floor is the rate of downs that would be harm.
    """
    limit = max(floor - tolerated, LEAST_FLOOR / 2)
    return log_evidence(downs, ups, floor=1 - limit, margin=MARGIN)


def should_roll_back(ups: int, downs: int, *, floor: float, alpha: float = ALPHA, margin: float = MARGIN) -> bool:
    """Whether the ratings prove that an adapter is worse than what it is compared with."""
    return log_evidence(ups, downs, floor=floor, margin=margin) >= math.log(1 / alpha)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The ratings of an adapter since it is served, beside the floor that was frozen when that began."""

    floor: float
    ups: int = 0
    downs: int = 0
    margin: float = MARGIN

    @classmethod
    def against(cls, ups: int, downs: int) -> Self:
        """Begin to watch a successor of what got these votes."""
        return cls(choose_floor(ups, downs))

    def add(self, ups: int, downs: int) -> Self:
        """Return the evidence with more ratings."""
        return replace(self, ups=self.ups + ups, downs=self.downs + downs)

    @property
    def votes(self) -> int:
        """How many ratings there are."""
        return self.ups + self.downs

    @property
    def log(self) -> float:
        """The log evidence of harm."""
        return log_evidence(self.ups, self.downs, floor=self.floor, margin=self.margin)

    def shows_harm(self, *, alpha: float = ALPHA) -> bool:
        """Whether it is to be rolled back."""
        return self.log >= math.log(1 / alpha)

    def allows_promotion(self, served_for: timedelta, *, alpha: float = ALPHA) -> str:
        """Return why a canary may become active, in words; empty while it may not.

        Proven harmless is one way. The other is that nobody saw harm for long enough; it says just that.
        """
        if self.shows_harm(alpha=alpha):
            return ""
        harmless = log_evidence_of_no_harm(self.ups, self.downs, floor=self.floor)
        if harmless >= math.log(1 / alpha):
            return sentences.LOSES_LITTLE.format(ups=self.ups, votes=self.votes, limit=TOLERATED)
        if self.votes >= QUIET_VOTES and served_for >= QUIET_TIME:
            return sentences.NO_HARM_SEEN.format(votes=self.votes, days=served_for.days)
        return ""

    def say(self) -> str:
        """Say how the ratings stand."""
        if not self.votes:
            return sentences.NO_RATING.format(floor=self.floor)
        odds = math.exp(min(self.log, 20.0))
        return sentences.RATINGS.format(ups=self.ups, votes=self.votes, floor=self.floor, odds=odds, limit=1 / ALPHA)


@lru_cache(maxsize=64)
def _worse_rates(floor: float, margin: float) -> tuple[Floats, Floats]:
    """Return the rates that an adapter worse than *floor* may have, and how much each is expected: Beta(2, 2), cut."""
    highest = max(floor - margin, floor / 2)
    rates = (np.arange(GRID) + 0.5) / GRID * highest
    weights = rates * (1 - rates)
    return rates, np.log(weights / weights.sum())


def _average(logs: Floats, weights: Floats) -> float:
    together = logs + weights
    largest = float(together.max())
    return largest + float(np.log(np.exp(together - largest).sum()))


def _log_density(rates: Floats, ups: int, downs: int) -> Floats:
    density: Floats = ups * np.log(rates) + downs * np.log1p(-rates)
    return density


def leave_one_out(votes: Mapping[str, tuple[int, int]], *, people: int, is_liked: bool) -> tuple[int, int]:
    """Return all thumbs up and down without those of the one person who says most that it *is_liked*, or is not.

    Nobody is left out where fewer than several *people* use the assistant.
    """
    sign = 1 if is_liked else -1
    leads = {person: sign * (ups - downs) for person, (ups, downs) in votes.items()}
    first = max(leads, key=lambda person: leads[person], default="")
    kept = [said for person, said in votes.items() if person != first or people < SEVERAL]
    return sum(ups for ups, _ in kept), sum(downs for _, downs in kept)


def cap_votes(votes: Mapping[str, tuple[int, int]], *, people: int) -> Mapping[str, tuple[int, int]]:
    """Return everybody's thumbs up and down, where nobody counts for more than whoever says second most.

    Of seven who vote, nobody for more than whoever says third most: two may act together. What a person's thumbs are
    for stays as it is, and everybody counts in full where fewer than several *people* use the assistant.
    """
    if people < SEVERAL:
        return votes
    totals = [*sorted(map(sum, votes.values()), reverse=True), 0, 0]
    most = totals[2 if len(votes) >= MANY else 1]
    shares = {person: min(1.0, most / sum(said)) if sum(said) else 0.0 for person, said in votes.items()}
    return {
        person: (round(ups * shares[person]), round(downs * shares[person])) for person, (ups, downs) in votes.items()
    }


def cap_first(votes: Mapping[str, tuple[int, int]], *, people: int) -> tuple[int, int]:
    """Return the sum of all thumbs up and down after that."""
    held = cap_votes(votes, people=people).values()
    return sum(ups for ups, _ in held), sum(downs for _, downs in held)


def find_breach(broken: Sequence[str], *, people: int) -> str:
    """Return why an adapter is to be taken back at once, in words; empty when there is no reason.

    *broken* says of its answers, oldest first, who had asked for each that was no answer at all; empty where it was
    one. Any model runs in a loop when somebody asks for that: of several *people*, more than one has to have met it.
    """
    recent = broken[-BREACH_WINDOW:]
    found = [person for person in recent if person]
    if len(found) < BREACH or (people >= SEVERAL and len(set(found)) < 2):
        return ""
    return sentences.BROKEN.format(broken=len(found), answers=len(recent))


def is_broken(answer: Answer) -> bool:
    """Return whether an answer is none: the engine gave nothing, or it says nothing, or the same again and again."""
    if answer.state == AnswerState.FAILED:
        return not answer.text  # with words in it, it was Slack that did not take it
    return answer.state == AnswerState.COMPLETE and (not answer.text.strip() or is_looping(answer.text))
