"""How much has been said since a moment: the cheap count for a status line and for the start of a run."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil

from bot.errors import LearningError
from bot.language import N_
from bot.learning import sentences
from bot.learning.data.policy import DataPolicy
from bot.storage.choices import load_opted_out
from bot.storage.db import Database
from bot.storage.signal_counts import count_signals
from bot.storage.signals import count_people


class NotEnoughSignal(LearningError):  # noqa: N818 - reads as a state, not as a mistake
    """There is not enough signal yet to learn from."""

    def __init__(self, lacks: str, *, points: float, needed: float) -> None:
        super().__init__(lacks)
        self.points = points
        self.needed = needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What there is to learn from; a data set may have less, since texts and caps are not looked at here."""

    points: float
    points_needed: float
    corrections: int
    pairs: int
    votes: int
    people: int
    people_needed: int

    @property
    def is_enough(self) -> bool:
        """Whether a run would have something to learn from."""
        return self.points >= self.points_needed and self.people >= self.people_needed


async def count_points(database: Database, *, policy: DataPolicy, since: datetime | None) -> Counted:
    """Return how much was said *since* a moment by people and in channels that may be learned from."""
    async with database.read() as session:
        without = await load_opted_out(session)
        counts = await count_signals(
            session,
            since=since,
            audiences=policy.audiences,
            without=without,
            channel_id=policy.only_channel,
            needs_review=policy.needs_review,
            needs_consent=policy.needs_consent,
        )
        used = await count_people(session, most=policy.least_people, channel_id=policy.only_channel)
    worth = policy.points
    return Counted(
        points=worth.correction * counts.corrections + worth.pair * counts.pairs + worth.vote * counts.votes,
        points_needed=policy.least_points,
        corrections=counts.corrections,
        pairs=counts.pairs,
        votes=counts.votes,
        people=counts.people,
        people_needed=min(policy.least_people, used),
    )


def _where(policy: DataPolicy) -> str:
    if policy.only_channel:
        return N_("in that channel")
    if policy.needs_consent:
        return N_("in public channels that an admin turned on")
    return N_("where everybody can read them")


def show(points: float) -> str:
    """Return points as people read them: 17, or 17.5."""
    return f"{points:.1f}".removesuffix(".0")


def check_enough(
    points: float, people: int, *, people_used: int, policy: DataPolicy, likes: int, dislikes: int, others: int
) -> None:
    """Raise *NotEnoughSignal* with what is missing; *others* are corrections and preferences."""
    needed, worth = policy.least_points, policy.points
    if points < needed:
        lack = needed - points
        corrections, votes = ceil(lack / worth.correction), ceil(lack / worth.vote)
        sentence = sentences.NOT_ENOUGH_REVIEWED if policy.needs_review else sentences.NOT_ENOUGH
        raise NotEnoughSignal(
            sentence.format(
                points=show(points), needed=show(needed), corrections=corrections, votes=votes, place=_where(policy)
            ),
            points=points,
            needed=needed,
        )
    people_needed = min(policy.least_people, people_used)
    if people < people_needed:
        raise NotEnoughSignal(
            sentences.NOT_ENOUGH_PEOPLE.format(people=people, needed=people_needed),
            points=points,
            needed=needed,
        )
    if not likes and not others:
        raise NotEnoughSignal(
            sentences.ONLY_DISLIKED.format(votes=dislikes),
            points=points,
            needed=needed,
        )
