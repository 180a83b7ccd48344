"""Half of all readers leave: what the engine's process holds afterwards is what it held before."""

import asyncio
import os
import random
import re
from collections import Counter
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from tests.engine.test_killed_workers import engine_with

AT_ONCE = 24
MAX_GROWTH_BYTES = 8 * 1024 * 1024  # an allocator's pools, and as many samples in the metrics as there are buckets
PAGE = os.sysconf("SC_PAGE_SIZE")


async def ask_some(client: EngineClient, number: int, rng: random.Random, ends: Counter[str]) -> None:
    """Ask one question; half of the time leave before, while or right after the answer begins."""
    options = AnswerOptions(
        temperature=rng.choice([0, 1]),
        max_tokens=rng.randint(1, 60),
        scope=rng.choice(["", f"talk {rng.randrange(40)}"]),
        user=f"user {rng.randrange(20)}",
        stop=rng.choice([(), ("the",)]),
    )
    leaves_after = rng.choice([None, None, None, 0, 1, 5])
    async with aclosing(
        client.chat([{"role": "user", "content": f"{number} " * rng.randint(1, 60)}], options)
    ) as chunks:
        if leaves_after == 0:
            asking = asyncio.ensure_future(anext(chunks))
            await asyncio.sleep(rng.random() * 0.02)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            ends["left at once"] += 1
            return
        end, seen = "", 0
        async for chunk in chunks:
            seen += 1
            end = chunk.finish_reason or end
            if seen == leaves_after and not end:
                end = "left"
                break
        ends[end] += 1


async def ask_many(client: EngineClient, number: int, *, seed: int) -> Counter[str]:
    """Ask *number* questions, many at a time."""
    rng, ends, numbers = random.Random(seed), Counter[str](), iter(range(number))

    async def person() -> None:
        for index in numbers:
            await ask_some(client, index, rng, ends)

    await asyncio.gather(*(person() for _ in range(AT_ONCE)))
    return ends


def measure(pid: int) -> tuple[int, int, int]:
    """Return what a process holds: bytes in memory, open files, threads."""
    process = Path(f"/proc/{pid}")
    memory = int((process / "statm").read_text().split()[1]) * PAGE
    return memory, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


async def read_state(socket_path: Path) -> tuple[int, int]:
    """Return how many answers are open by the engine's own count, and how many slots are in use."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket_path))) as session:
        async with session.get("http://engine/v1/queue") as response:
            queues = (await response.json())["data"]
        async with session.get("http://engine/metrics") as response:
            metrics = await response.text()
    running = re.findall(r"^engine_\w*(?:running|waiting)\w*\{[^}]*\} (\S+)", metrics, flags=re.MULTILINE)
    assert running
    return sum(queue["answering"] + queue["waiting"] for queue in queues), int(sum(map(float, running)))


@pytest.mark.parametrize(
    ("before", "number"), [(150, 300), pytest.param(500, 2_000, marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])]
)
async def test_readers_who_leave_leave_nothing_behind(tiny_model: Path, before: int, number: int) -> None:
    """After hundreds of answers, half of them left, memory, files, threads, slots and the queue are as before."""
    async with engine_with(tiny_model, "--host-cache-mb", "2") as (supervisor, client):  # soon full
        await supervisor.wait_ready(30)
        await ask_many(client, before, seed=0)
        await client.close()
        await asyncio.sleep(0.5)
        memory, files, threads = measure(supervisor.pid)

        ends = await ask_many(client, number, seed=1)
        await client.close()
        await asyncio.sleep(0.5)

        grown, files_now, threads_now = measure(supervisor.pid)
        state = await read_state(client._socket_path)
        assert supervisor.restarts == 0
    print(f"\nrequests: {ends.total()} {dict(ends)}, left over: {state}, memory {(grown - memory) / 2**20:+.1f} MiB,")
    print(f"open files {files} then {files_now}, threads {threads} then {threads_now}")
    assert ends.total() == number
    assert number * 0.35 < ends["left"] + ends["left at once"] < number * 0.65
    assert state == (0, 0)
    assert files_now <= files + 1
    assert threads_now <= threads + 2
    assert grown - memory < MAX_GROWTH_BYTES
