"""How often Slack may be asked: one lane for each method of a workspace, and for messages one for each channel.

Limits count per method and workspace, so all answers share them. A lane lets as many calls through within a minute as
it may, and has the others wait in line. When Slack says nevertheless that it was too much, that lane rests as long as
Slack asks, and is narrower for a while; the other lanes go on.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

TIER_2, TIER_3, TIER_4 = 20, 50, 100
TIERS = {
    "agents.sessions.rename": TIER_3,
    "agents.sessions.setStatus": TIER_3,
    "assistant.threads.setTitle": TIER_4,
    "bots.info": TIER_3,
    "chat.appendStream": TIER_4,
    "chat.delete": TIER_3,
    "chat.postEphemeral": TIER_4,
    "chat.scheduleMessage": TIER_3,
    "chat.startStream": TIER_2,
    "chat.stopStream": TIER_2,
    "chat.update": TIER_3,
    "conversations.history": TIER_3,
    "conversations.info": TIER_3,
    "conversations.list": TIER_2,
    "conversations.members": TIER_4,
    "conversations.open": TIER_3,
    "conversations.replies": TIER_3,
    "files.completeUploadExternal": TIER_4,
    "files.getUploadURLExternal": TIER_4,
    "files.info": TIER_4,
    "reactions.add": TIER_3,
    "reactions.get": TIER_3,
    "reactions.remove": TIER_2,
    "users.conversations": TIER_3,
    "users.info": TIER_4,
    "users.list": TIER_2,
    "views.open": TIER_4,
    "views.publish": TIER_4,
    "views.push": TIER_4,
    "views.update": TIER_4,
}
POST = "chat.postMessage"
NARROWED, WIDENED = 0.5, 1.25  # a lane that was too fast is halved, and widens again every minute


class Clock(Protocol):
    """Tells the time in seconds, and waits."""

    def now(self) -> float:
        """Return the time."""
        ...

    async def sleep(self, delay: float) -> None:
        """Wait."""
        ...


class MachineClock:
    """The time of this machine."""

    def now(self) -> float:
        """Return the time."""
        return time.monotonic()

    async def sleep(self, delay: float) -> None:
        """Wait."""
        await asyncio.sleep(delay)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What Slack takes, and how much of it is used; it promises a tier's number and says no more."""

    per_minute: Mapping[str, int] = field(default_factory=lambda: TIERS)
    share: float = 0.9
    window_s: float = 61.0
    posts_at_once: int = 2  # into one channel; Slack takes one a second, and short bursts
    posts_window_s: float = 2.2
    stream_s: float = 240.0  # from then on a stream goes over into another message, at the edge of a paragraph
    longest_stream_s: float = 270.0  # and from then on wherever it is: Slack ends it after about 300 s

    def within_a_minute(self, method: str) -> float:
        """Return how many calls of a method a minute are used; those without a tier are not counted."""
        return self.per_minute[method] * self.share


class _Lane:
    """The calls of one method that were let through or are in line."""

    def __init__(self, most: float, window: float) -> None:
        self.times: deque[float] = deque()
        self.rests_until = 0.0
        self._most = self._full = most
        self._window = window
        self._widens_at = 0.0
        self._narrowed_until = 0.0

    def most(self, now: float) -> int:
        while self._most < self._full and now >= self._widens_at:
            self._most = min(self._full, self._most * WIDENED)
            self._widens_at += self._window
        return max(1, int(self._most))

    def room(self, now: float) -> int:
        while self.times and self.times[0] <= now - self._window:
            self.times.popleft()
        return 0 if now < self.rests_until else self.most(now) - len(self.times)

    def reserve(self, now: float) -> float:
        """Return the moment of the next free place, and take it."""
        most = self.most(now)
        self.room(now)
        moment = max(now, self.rests_until)
        if len(self.times) >= most:
            moment = max(moment, self.times[-most] + self._window)
        self.times.append(moment)
        return moment

    def leave(self, moment: float) -> None:
        """Give a place back, unless it went already: to what was refused in the moment in which its turn came."""
        with suppress(ValueError):
            self.times.remove(moment)

    def rest(self, now: float, seconds: float) -> None:
        """Let nothing through for a while, and less than before for longer: once for all that was refused together.

        What was refused has taken no place of those that Slack counts.
        """
        refused = next((moment for moment in reversed(self.times) if moment <= now), None)
        if refused is not None:
            self.leave(refused)
        self.rests_until = max(self.rests_until, now + seconds)
        if now >= self._narrowed_until:
            self._most = max(1.0, self._most * NARROWED)
            self._narrowed_until = now + self._window
        self._widens_at = self.rests_until + self._window


class Budget:
    """What one workspace still takes."""

    def __init__(self, rates: Rates, clock: Clock) -> None:
        self.rates = rates
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._promised: Counter[str] = Counter()

    def room(self, method: str, channel: str = "") -> int:
        """Return how many calls could be made now without anybody waiting; promised ones are not among them."""
        lane = self._lane(method, channel)
        return 1 if lane is None else lane.room(self._clock.now()) - self._promised[method]

    def has_spare(self, method: str) -> bool:
        """Return whether there is room for what can wait: half of a lane is for what answers wait for."""
        lane = self._lane(method, "")
        now = self._clock.now()
        return lane is None or 2 * lane.room(now) > lane.most(now)

    def rests(self, method: str, channel: str = "") -> float:
        """Return for how many seconds more Slack wants to hear nothing of *method*."""
        lane = self._lane(method, channel)
        return 0.0 if lane is None else max(0.0, lane.rests_until - self._clock.now())

    def promise(self, method: str) -> None:
        """Keep a place for a call that must be made later, such as the end of a stream that begins."""
        self._promised[method] += 1

    def redeem(self, method: str) -> None:
        """Give the place back, to use it now or not at all."""
        self._promised[method] = max(0, self._promised[method] - 1)

    async def take(self, method: str, channel: str = "") -> None:
        """Wait in line until *method* may be called."""
        lane = self._lane(method, channel)
        while lane is not None:
            moment = lane.reserve(self._clock.now())
            try:
                while (delay := moment - self._clock.now()) > 0:
                    await self._clock.sleep(delay)
            except asyncio.CancelledError:
                lane.leave(moment)
                raise
            if self._clock.now() >= lane.rests_until:
                return
            lane.leave(moment)  # Slack has said meanwhile that this lane rests: get in line again

    def rest(self, method: str, channel: str, seconds: float) -> None:
        """Leave a method alone for as long as Slack asks."""
        lane = self._lane(method, channel)
        if lane is None:
            lane = self._lanes[method] = _Lane(TIER_2, self.rates.window_s)
        lane.rest(self._clock.now(), seconds)

    def _lane(self, method: str, channel: str) -> _Lane | None:
        """Return the lane of a method; None for one without a tier that Slack has never complained about."""
        name = f"{method}:{channel}" if method == POST else method
        if name not in self._lanes:
            if method == POST:
                self._lanes[name] = _Lane(self.rates.posts_at_once, self.rates.posts_window_s)
            elif method in self.rates.per_minute:
                self._lanes[name] = _Lane(self.rates.within_a_minute(method), self.rates.window_s)
            else:
                return None
        return self._lanes[name]
