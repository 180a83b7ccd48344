"""How much one person, one channel and all together may ask for within a minute; the rest is refused at once.

A refusal is told once a minute to each person: whoever writes a thousand messages must not make us write as many.
Kept in memory, by each bot process for what it hears. Pure: the clock comes in.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

MINUTE = 60.0
REMEMBERED = 10_000
PART = 4  # one person's are at most every fourth of those that wait: others find room behind a flood


class Full(StrEnum):
    """What there is too much of."""

    PERSON = "person"
    CHANNEL = "channel"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Limits:
    """Messages a minute, and messages that may wait for an answer; 0: as many as they like."""

    person: int = 0
    channel: int = 0
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not answered; *is_news* says that its author was not told within this minute."""

    full: Full
    seconds: int
    is_news: bool


class Throttle:
    """Counts what everybody asked for within the last minute."""

    def __init__(self, limits: Limits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or Limits()
        self._clock = clock
        self._asked: dict[str, deque[float]] = {}
        self._told: dict[str, float] = {}
        self._taken: list[str] | None = None  # what was counted in a block that may fail yet
        self._news: dict[str, float | None] = {}  # who is told in it, and when they were told before

    @contextmanager
    def unless_it_fails(self) -> Iterator[None]:
        """Count what is taken in the block, and who is told, only if the block ends well.

        What could not be stored comes again, and counts then; nobody heard a word that went with it.
        """
        self._taken = []
        try:
            yield
        except BaseException:
            for key in self._taken:
                if (asked := self._asked.get(key)) is not None:
                    asked.pop()
                    if not asked:
                        del self._asked[key]
            for user_id, before in self._news.items():
                self._told.pop(user_id, None)
                if before is not None:
                    self._told[user_id] = before
            raise
        finally:
            self._taken, self._news = None, {}

    @property
    def counts_queue(self) -> bool:
        """Return whether it matters how many wait."""
        return bool(self._limits.queue)

    def take(
        self,
        user_id: str,
        channel_id: str = "",
        *,
        line: Mapping[str, int] | None = None,
        minute: str = "",
        most: int | None = None,
    ) -> Refusal | None:
        """Count a message; return why it is one too many, which counts for nothing.

        *line* says how many of each person wait already; *minute* when it was said, if that was not now; *most* how
        many of its kind there may be of a person.
        """
        now = self._clock()
        self._forget(now)
        person, channel = f"{user_id}{minute}", f"{channel_id}{minute}" if channel_id else ""
        most = self._limits.person if most is None else most
        limits = ((person, Full.PERSON, most), (channel, Full.CHANNEL, self._limits.channel))
        for key, full, limit in limits:
            wait = self._wait(key, limit, now) if key and limit else 0.0
            if wait:
                return self._refuse(person, full, wait, now)
        if line and self._limits.queue:
            part = max(1, self._limits.queue // PART)
            if line.get(user_id, 0) >= part:
                return self._refuse(person, Full.PERSON, MINUTE, now)
            if sum(min(count, part) for count in line.values()) >= self._limits.queue:
                return self._refuse(person, Full.QUEUE, MINUTE, now)
        for key, _full, limit in limits:
            if key and limit:
                self._asked.setdefault(key, deque(maxlen=limit)).append(now)
                if self._taken is not None:
                    self._taken.append(key)
        return None

    def is_shut(self, user_id: str) -> bool:
        """Return whether somebody has asked too much and has heard so: what comes now needs no further thought."""
        now = self._clock()
        is_told = now - self._told.get(user_id, -MINUTE) < MINUTE and user_id not in self._news
        return is_told and bool(self._limits.person) and self._wait(user_id, self._limits.person, now) > 0

    def _wait(self, key: str, limit: int, now: float) -> float:
        asked = self._asked.get(key)
        return max(0.0, asked[0] + MINUTE - now) if asked and len(asked) >= limit else 0.0

    def _refuse(self, user_id: str, full: Full, wait: float, now: float) -> Refusal:
        is_news = now - self._told.get(user_id, -MINUTE) >= MINUTE
        if is_news:
            if self._taken is not None:
                self._news[user_id] = self._told.get(user_id)
            self._told[user_id] = now
        return Refusal(full, math.ceil(wait), is_news)

    def _forget(self, now: float) -> None:
        """Forget whoever was silent for a minute, when there are many."""
        if len(self._asked) + len(self._told) > REMEMBERED:
            self._asked = {key: asked for key, asked in self._asked.items() if asked[-1] > now - MINUTE}
            self._told = {key: at for key, at in self._told.items() if at > now - MINUTE}
