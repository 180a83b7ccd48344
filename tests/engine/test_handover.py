"""The way from the engine's thread into the event loop: nothing is lost, reordered or left behind."""

import asyncio
import threading

from bot.engine.handover import Handover


async def test_everything_arrives_in_order() -> None:
    """More items than the pipe holds rings, put by another thread while the event loop is busy, arrive in order."""
    received: list[int] = []
    is_complete = asyncio.Event()

    def receive(number: int) -> None:
        received.append(number)
        if number == 199_999:
            is_complete.set()

    handover = Handover[int](receive)
    thread = threading.Thread(target=lambda: [handover.put(number) for number in range(200_000)])
    thread.start()
    thread.join()
    assert received == []

    async with asyncio.timeout(5):
        await is_complete.wait()

    assert received == list(range(200_000))
    handover.close()


async def test_a_sleeping_event_loop_is_woken() -> None:
    """An item wakes an event loop that waits for nothing else."""
    heard = asyncio.Event()
    handover = Handover[None](lambda _: heard.set())
    timer = threading.Timer(0.05, handover.put, [None])
    timer.start()

    async with asyncio.timeout(5):
        await heard.wait()
    timer.join()
    handover.close()


async def test_what_is_left_is_handed_over_at_the_end() -> None:
    """Items put right before the end are received; the ones after it are dropped."""
    received: list[str] = []
    handover = Handover[str](received.append)
    handover.put("last")

    handover.close()
    handover.put("too late")
    await asyncio.sleep(0)

    assert received == ["last"]
