"""How many answers one person gets at a time, so that others get theirs as well."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

MOST = 3
MANY = 5  # of one person waiting: then theirs come one after the other, to the last
BREATH_S = 1.0  # between two of these, while others ask too
RECENT_S = 30.0  # so long ago others are still about


class Shares:
    """Lets a person's answers begin in the order in which they came here; for one event loop.

    *on_wait* hears of each that has to wait, since it needs no place among those that run.
    """

    def __init__(
        self, on_wait: Callable[[], None] = lambda: None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_wait = on_wait
        self._clock = clock
        self._people: dict[str, _Share] = {}
        self._begun: dict[str, float] = {}  # when the newest answer to each began

    @property
    def waiting(self) -> int:
        """Return how many wait for another answer of their person to end."""
        return sum(share.waiting for share in self._people.values())

    @asynccontextmanager
    async def of(self, person: str) -> AsyncIterator[None]:
        """Wait until another answer of *person* may begin, and count it while the block runs."""
        share = self._people.setdefault(person, _Share())
        share.waiting += 1
        share.has_many = share.has_many or share.waiting > MANY
        try:
            async with share.changed:
                has_waited = not share.has_room()
                if has_waited:
                    self._on_wait()
                await share.changed.wait_for(share.has_room)
                share.running += 1
        finally:
            share.waiting -= 1
            self._forget(person, share)
        try:
            if has_waited and share.has_many and self._are_others_about(person):
                await asyncio.sleep(BREATH_S)
            self._begun[person] = self._clock()
            yield
        finally:
            share.running -= 1
            async with share.changed:
                share.changed.notify_all()
            self._forget(person, share)

    def _are_others_about(self, person: str) -> bool:
        """Return whether anybody else was answered lately."""
        since = self._clock() - RECENT_S
        self._begun = {one: at for one, at in self._begun.items() if at > since}
        return any(one != person for one in self._begun)

    def _forget(self, person: str, share: "_Share") -> None:
        if not (share.waiting or share.running):
            self._people.pop(person, None)


class _Share:
    """What one person has under way."""

    def __init__(self) -> None:
        self.waiting = 0
        self.running = 0
        self.has_many = False
        self.changed = asyncio.Condition()

    def has_room(self) -> bool:
        """Return whether one more may begin; whoever waits counts too."""
        return self.running < (1 if self.has_many else MOST)
