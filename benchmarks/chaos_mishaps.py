"""The misfortunes of a chaos run, one after the other in an order that the seed fixes, and how often each struck."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.chaos_bot import KillableBot
from bot.playground.testing import Playground

ALWAYS: dict[str, dict[str, Any]] = {
    "server_error": {"status": 503, "methods": "", "percent": 1},
    "late_redelivery": {"seconds": 370, "copies": 3, "percent": 10},
    "duplicate_events": {"percent": 5},
    "reorder_events": {"seconds": 0.4, "percent": 20},
}
SENDS = "chat.postMessage,chat.startStream"
ENGINE_KILLS_IN_A_ROW = 2  # a third within a minute and the supervisor pauses, as it should

Mishap = Callable[[], Awaitable[None]]


class Mishaps:
    """Lets *kills* kills happen and other things between them."""

    def __init__(
        self,
        playground: Playground,
        bot: KillableBot,
        *,
        kills: int,
        chance: random.Random,
        restart_database: Mishap | None = None,
    ) -> None:
        self._playground = playground
        self._bot = bot
        self._kills = kills
        self._chance = chance
        self._engine_kills_in_a_row = 0
        self._deck: list[str] = []
        self.counts: Counter[str] = Counter()
        self._others: dict[str, Mishap] = {
            "sockets refreshed": playground.refresh_sockets,
            "sockets cut": self._cut_sockets,
            "partition": self._partition,
            "429 storm": self._throttle,
            "sent, answer lost": self._lose_answers,
            "sent, connection reset": self._reset_connections,
            "Slack down (503)": self._take_slack_down,
            "disk full": self._fill_disk,
            "clock moved on (redeliveries come)": self._advance,
        }
        if restart_database is not None:
            self._others["database restarted"] = restart_database

    def begin(self) -> None:
        """Switch on what goes wrong all the time."""
        for name, params in ALWAYS.items():
            self._playground.fault(name, **params)

    async def strike(self) -> None:
        """Let everything happen."""
        for _ in range(self._kills):
            for _ in range(2):
                name = self._draw()
                await self._others[name]()
                self.counts[name] += 1
                await self._bot.revive()
                await asyncio.sleep(self._chance.uniform(0, 0.8))
            await self._kill()
            await asyncio.sleep(self._chance.uniform(0, 2.5))

    def end(self) -> None:
        """Let nothing go wrong any more."""
        hub = self._playground.hub
        for name in ALWAYS:
            self.counts[f"{name} (all the time)"] = hub.faults.count(name)
        hub.faults.reset()
        self._bot.fill_disk(is_full=False)

    def _draw(self) -> str:
        """Return a mishap by chance; each has its turn before one comes again."""
        if not self._deck:
            self._deck = self._chance.sample(sorted(self._others), len(self._others))
        return self._deck.pop()

    async def _kill(self) -> None:
        wants_engine, waits = self._chance.random() < 0.45, self._chance.random() < 0.85
        if wants_engine and self._engine_kills_in_a_row < ENGINE_KILLS_IN_A_ROW and self._bot.kill_engine():
            self._engine_kills_in_a_row += 1
            self.counts["kill -9 of the engine"] += 1
            return
        self._engine_kills_in_a_row = 0
        await self._bot.kill(waits=waits)
        self.counts["kill -9 of the bot"] += 1

    async def _cut_sockets(self) -> None:
        self._playground.hub.sockets.cut()

    async def _for_a_while(self, fault: str, most_s: float, **params: Any) -> None:
        before = ALWAYS.get(fault)
        self._playground.fault(fault, **params)
        await asyncio.sleep(self._chance.uniform(0.5, most_s))
        self._playground.fault(fault, **before) if before else self._playground.fault(fault, enabled=False)

    async def _partition(self) -> None:
        await self._for_a_while("partition", 4)

    async def _throttle(self) -> None:
        await self._for_a_while("rate_limit", 3, methods="chat.*", retry_after=self._chance.choice((1, 2)))

    async def _take_slack_down(self) -> None:
        await self._for_a_while("server_error", 3, percent=100)

    async def _lose_answers(self) -> None:
        self._playground.fault("lost_answer", seconds=0.5, methods=SENDS, times=self._chance.randint(1, 5))

    async def _reset_connections(self) -> None:
        self._playground.fault("drop_connection", when="after", methods="chat.*", times=self._chance.randint(1, 5))

    async def _fill_disk(self) -> None:
        self._bot.fill_disk(is_full=True)
        await asyncio.sleep(self._chance.uniform(0.5, 3))
        self._bot.fill_disk(is_full=False)

    async def _advance(self) -> None:
        await self._playground.advance(self._chance.choice((61, 130, 310)))
