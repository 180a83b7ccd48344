"""The clock: real time that tests can push on."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.playground.clock import Clock


async def test_timers_fire_in_real_time() -> None:
    """Undriven, a timer waits its time."""
    clock = Clock()
    started = time.monotonic()
    await clock.sleep(0.05)
    assert 0.04 <= time.monotonic() - started < 5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 1000), max_size=8), st.floats(0, 1000))
def test_driven_timers_fire_in_order(delays: list[float], jump: float) -> None:
    """A jump fires what lies before it, in order, at its moment, and nothing beyond."""

    async def drive() -> list[tuple[float, float]]:
        clock = Clock()
        began = clock.now()
        fired: list[tuple[float, float]] = []
        for delay in delays:
            clock.call_later(delay, lambda delay=delay: fired.append((delay, clock.now() - began)))  # type: ignore[misc]
        await clock.advance(jump)
        clock.stop()
        return fired

    fired = asyncio.run(drive())
    assert [delay for delay, _ in fired] == sorted(delay for delay in delays if delay <= jump)
    assert all(abs(moment - delay) < 0.5 for delay, moment in fired)


async def test_chains_unfold_within_one_jump() -> None:
    """A timer that starts another one within the jump sees it fire too."""
    clock = Clock()
    heard: list[str] = []

    async def chain() -> None:
        for name in ("a", "b", "c"):
            await clock.sleep(60)
            heard.append(name)

    task = asyncio.create_task(chain())
    await clock.advance(130)
    assert heard == ["a", "b"]
    task.cancel()
    clock.stop()


async def test_waiting_gives_up_when_the_clock_passes() -> None:
    """A future that nobody fulfils times out on the driven clock; one that is fulfilled does not."""
    clock = Clock()
    loop = asyncio.get_running_loop()
    never: asyncio.Future[int] = loop.create_future()
    waiting = asyncio.create_task(clock.wait_for(never, seconds=3))
    await clock.advance(4)
    with pytest.raises(TimeoutError):
        await waiting
    done: asyncio.Future[int] = loop.create_future()
    done.set_result(7)
    assert await clock.wait_for(done, seconds=3) == 7


async def test_a_cancelled_timer_stays_silent() -> None:
    """Cancelling is final."""
    clock = Clock()
    heard: list[int] = []
    clock.call_later(1, lambda: heard.append(1)).cancel()
    await clock.advance(10)
    assert heard == []
