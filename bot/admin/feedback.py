"""What people think of the answers: the trend by weeks, and the worst answers that everybody could read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from bot.storage import opinions
from bot.storage.db import Database
from bot.storage.opinions import Disliked
from bot.storage.tables import Vote, now

WORST_DAYS = 30


@dataclass(frozen=True, slots=True)
class Week:
    """A week, which begins on a Monday."""

    begin: date
    answers: int
    ups: int
    downs: int
    corrections: int

    @property
    def liked(self) -> float | None:
        """Return the share of thumbs that were up; None without any."""
        return self.ups / (self.ups + self.downs) if self.ups + self.downs else None


async def read_trend(database: Database, *, weeks: int) -> Sequence[Week]:
    """Return the last weeks, the oldest first, the present one last."""
    this_week = _monday(now())
    begins = [this_week - timedelta(weeks=back) for back in reversed(range(weeks))]
    since = datetime.combine(begins[0], datetime.min.time()).astimezone()
    async with database.read() as session:
        votes = Counter((_monday(at), vote) for at, vote in await opinions.votes_since(session, since))
        corrections = Counter(map(_monday, await opinions.corrections_since(session, since)))
        answers = Counter(map(_monday, await opinions.answers_since(session, since)))
    return [
        Week(begin, answers[begin], votes[begin, Vote.UP], votes[begin, Vote.DOWN], corrections[begin])
        for begin in begins
    ]


async def read_worst(database: Database, *, most: int) -> Sequence[Disliked]:
    """Return the answers of the last days that people liked least; none that was said in private."""
    async with database.read() as session:
        return await opinions.worst_answers(session, since=now() - timedelta(days=WORST_DAYS), most=most)


async def read_verdicts(database: Database, *, weeks: int) -> tuple[int, int]:
    """Return how many of what was said to be fixed its authors found better in the last weeks, and how many not."""
    async with database.read() as session:
        return await opinions.count_verdicts(session, now() - timedelta(weeks=weeks))


def _monday(moment: datetime) -> date:
    day = moment.astimezone().date()
    return day - timedelta(days=day.weekday())
