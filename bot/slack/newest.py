"""One thing at a time for each person, and of those that wait only the newest: the others are out of date by then."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable


class Newest:
    """Lets the newest of what waits under a key run when what runs under it has ended."""

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()
        self._present: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run *work*, unless something newer waits for its turn under *key* by then."""
        self._numbers[key] += 1
        number = self._numbers[key]
        self._present[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                if self._numbers[key] == number:
                    await work()
        finally:
            self._present[key] -= 1
            if not self._present[key]:
                del self._numbers[key], self._present[key], self._locks[key]
