"""How many answers one person gets at a time, so that others get theirs as well."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

MOST = 3
MANY = 5  # of one person waiting: then theirs come one after the other


class Shares:
    """Lets a person's answers begin in the order in which they came here; for one event loop.

    *on_wait* hears of each that has to wait, since it needs no place among those that run.
    """

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self._on_wait = on_wait
        self._people: dict[str, _Share] = {}

    @property
    def waiting(self) -> int:
        """Return how many wait for another answer of their person to end."""
        return sum(share.waiting for share in self._people.values())

    @asynccontextmanager
    async def of(self, person: str) -> AsyncIterator[None]:
        """Wait until another answer of *person* may begin, and count it while the block runs."""
        share = self._people.setdefault(person, _Share())
        share.waiting += 1
        try:
            async with share.changed:
                if not share.has_room():
                    self._on_wait()
                await share.changed.wait_for(share.has_room)
                share.running += 1
        finally:
            share.waiting -= 1
            self._forget(person, share)
        try:
            yield
        finally:
            share.running -= 1
            async with share.changed:
                share.changed.notify_all()
            self._forget(person, share)

    def _forget(self, person: str, share: "_Share") -> None:
        if not (share.waiting or share.running):
            self._people.pop(person, None)


class _Share:
    """What one person has under way."""

    def __init__(self) -> None:
        self.waiting = 0
        self.running = 0
        self.changed = asyncio.Condition()

    def has_room(self) -> bool:
        """Return whether one more may begin; whoever waits counts too."""
        return self.running < (1 if self.waiting > MANY else MOST)
