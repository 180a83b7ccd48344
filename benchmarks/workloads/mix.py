"""W2: a team writes: requests at random moments under one system prompt, prompts and answers of any length.

Arrivals come at 0.7 of the rate that ours manages when it is never idle, and at the same moments in every arm.
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.arms import PYTHON_SERVER, Arm
from benchmarks.bench import Bench, in_turns, quiet_client, summarise
from benchmarks.chats import Chat
from benchmarks.client import Ask, Reply

NAME = "W2"
SEQUENCES = 8
SYSTEM, QUESTION, ANSWER = 300, 200, 80
SPREAD = 0.8
LOAD = 0.7
FEWEST = 16


async def run(bench: Bench) -> None:
    """Measure waiting and speed under the same arrivals, in turns."""
    serving = bench.sized(n_ctx=min(2048, bench.n_ctx_train), sequences=SEQUENCES)
    async with bench.arms(serving, workload=NAME) as arms:
        chosen = [arm for arm in arms if arm.name != PYTHON_SERVER]
        rate = await measure_capacity(bench, chosen[0]) * LOAD
        count = max(FEWEST, int(rate * bench.plan.seconds))
        if count == FEWEST:
            seconds = f"{FEWEST / rate:.0f} s a turn"
            bench.results.note(f"W2 on {bench.name}: {FEWEST} requests, the fewest that say anything, take {seconds}.")
        for turn, arm in in_turns(chosen, bench.plan.rounds):
            values: dict[str, float] = {"arrivals_per_second": rate}
            with quiet_client(values):
                replies = await arrive(arm, build_asks(bench, count, turn=turn), rate=rate, seed=turn)
            bench.add(NAME, f"{count} requests", arm.name, turn, summarise(replies) | values)


def build_asks(bench: Bench, count: int, *, turn: int) -> list[Ask]:
    """Return requests under one system prompt; a few prompts and answers are much longer than the most."""
    chance = random.Random(turn)
    asks = []
    for index in range(count):
        chat = Chat(bench.words, seed=(NAME, turn, index), salt=f"{NAME} {turn} {index}")
        _, system = bench.words.draw(SYSTEM, seed=(NAME, "system"))
        chat.messages.append({"role": "system", "content": system.strip()})
        chat.say("user", draw_length(chance, QUESTION, most=1000))
        asks.append(chat.ask(max_tokens=draw_length(chance, ANSWER, most=300), seed=index))
    return asks


def draw_length(chance: random.Random, median: int, *, most: int) -> int:
    """Return a length around *median* with a long tail."""
    return max(8, min(most, int(chance.lognormvariate(math.log(median), SPREAD))))


async def measure_capacity(bench: Bench, arm: Arm) -> float:
    """Return how many requests a second are answered when all are there at once."""
    asks = [replace(ask, salt=f"{ask.salt} first") for ask in build_asks(bench, 2 * SEQUENCES, turn=-1)]
    began = time.perf_counter()
    await arm.client.ask_all(asks)
    return len(asks) / (time.perf_counter() - began)


async def arrive(arm: Arm, asks: Sequence[Ask], *, rate: float, seed: int) -> list[Reply]:
    """Send each request at its own moment and return all replies."""
    chance = random.Random(seed)
    tasks = []
    due = time.perf_counter()
    for ask in asks:
        due += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(arm.client.ask(ask)))
    return [reply.read() for reply in await asyncio.gather(*tasks)]
