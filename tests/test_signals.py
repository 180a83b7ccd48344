"""Whoever is told to end does so: while starting, and whatever error comes on the way out."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.signals import outcome_of, rest, run_stoppable
from bot.slack.turns.duty import Duty, Pulse
from bot.slack.turns.turns import Turns
from bot.storage.db import Database


async def stopped(work: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
    """Run *work* and tell it to stop at once."""
    stop = asyncio.Event()
    running = asyncio.create_task(run_stoppable(work, stop, seconds=1000))
    await asyncio.sleep(0.01)
    stop.set()
    async with asyncio.timeout(5):
        await running


async def test_whoever_has_not_begun_is_cancelled_and_cleans_up() -> None:
    """A start waits for others, for ever; what is open already is closed."""
    said = []

    async def work(_begin: Callable[[], None]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("closed")

    await stopped(work)

    assert said == ["closed"]


async def test_whoever_has_begun_ends_in_its_own_time() -> None:
    """It looks at the event itself."""
    said = []

    async def work(begin: Callable[[], None]) -> None:
        begin()
        await asyncio.sleep(0.05)
        said.append("done")

    await stopped(work)

    assert said == ["done"]


async def test_what_prevents_a_start_is_raised() -> None:
    """As if nobody waited for a stop."""

    async def work(_begin: Callable[[], None]) -> None:
        raise OSError("taken")

    with pytest.raises(OSError, match="taken"):
        await run_stoppable(work, asyncio.Event())


async def fail_on_the_way_out() -> None:
    """Wait; raise an error when told to end."""
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError


async def ended(work: Awaitable[object]) -> bool:
    """Start something, tell it to end, and return whether it does so as one that was told to."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    return task.done() and task.cancelled()


async def test_no_error_on_the_way_out_begins_anew() -> None:
    """A loop that goes on whatever happens would go on for ever."""

    async def loop() -> None:
        while True:
            with contextlib.suppress(OSError):
                await fail_on_the_way_out()
            await rest(0.01)

    async def wait_for_another() -> None:
        await outcome_of(asyncio.create_task(fail_on_the_way_out()))

    assert await ended(loop())
    assert await ended(wait_for_another())


async def test_one_that_ends_while_the_database_goes_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that can neither be finished nor taken back hides that its task was cancelled."""
    duty = Duty(database, place="here", pulse=Pulse(beat_s=0))
    await duty.begin()
    is_in_it = asyncio.Event()

    async def beat() -> None:
        is_in_it.set()
        await fail_on_the_way_out()

    monkeypatch.setattr(duty, "beat", beat)
    keeping = asyncio.create_task(duty.keep())
    await is_in_it.wait()
    keeping.cancel()
    await asyncio.wait([keeping], timeout=5)

    assert keeping.cancelled()


async def test_a_worker_that_is_woken_in_the_moment_in_which_it_is_to_end(database: Database) -> None:
    """It does not forget the one over the other."""
    nobody: Any = None
    turns = Turns(database, nobody, nobody, nobody, speech=nobody, duty=Duty(database, place="here"))
    working = asyncio.create_task(turns.run())
    await asyncio.sleep(0.5)
    turns.wake()
    working.cancel()
    await asyncio.wait([working], timeout=5)

    assert working.cancelled()
