"""W7: half of all requests are cancelled at a random moment; does anything stay behind?"""

import asyncio
import random
import time
from dataclasses import replace

from benchmarks.arms import PYTHON_SERVER, Arm, read_rss
from benchmarks.bench import Bench, in_turns, quiet_client
from benchmarks.client import Ask, Reply
from benchmarks.figures import measure_slope, quantile
from benchmarks.step_times import read_metrics

NAME = "W7"
SEQUENCES, READERS = 8, 12
LONGEST_PROMPT, ANSWER = 256, 64
SAMPLE_SECONDS = 0.25
SETTLE_SECONDS = 1.0
MEBIBYTE = 2**20


async def run(bench: Bench) -> None:
    """Measure memory and what is left after a storm of cancellations, in turns."""
    serving = bench.sized(n_ctx=512, sequences=SEQUENCES)
    async with bench.arms(serving, workload=NAME) as arms:
        chosen = [arm for arm in arms if arm.name != PYTHON_SERVER]
        for arm in chosen:
            await storm(bench, arm, seconds=max(3.0, bench.plan.seconds / 3), turn=-1)
        for turn, arm in in_turns(chosen, bench.plan.rounds):
            bench.add(NAME, f"{READERS} readers", arm.name, turn, await measure(bench, arm, turn))


async def measure(bench: Bench, arm: Arm, turn: int) -> dict[str, float]:
    """Return the memory before, after and its growth, what still runs, and how the others fared."""
    values: dict[str, float] = {}
    start = read_rss(arm.pid)
    with quiet_client(values):
        replies, memory = await storm(bench, arm, seconds=bench.plan.seconds, turn=turn)
    await asyncio.sleep(SETTLE_SECONDS)
    state = await read_metrics(arm)
    complete = [reply for reply in replies if reply.completion_tokens >= ANSWER]
    return {
        "rss_start_mib": start / MEBIBYTE,
        "rss_end_mib": read_rss(arm.pid) / MEBIBYTE,
        "rss_growth": read_rss(arm.pid) / start - 1 if start else 0.0,
        "rss_mib_per_minute": measure_slope(memory) * 60 / MEBIBYTE,
        "requests": len(replies),
        "complete": len(complete),
        "ttft_p50": quantile([reply.first * 1000 for reply in complete], 0.5),
        "left_running": state.total("engine_running_sequences"),
        "left_waiting": state.total("engine_waiting_sequences"),
        "left_cells": state.total("engine_kv_cells_used"),
        "errors": sum(bool(reply.error) for reply in replies),
        **values,
    }


async def storm(bench: Bench, arm: Arm, *, seconds: float, turn: int) -> tuple[list[Reply], list[tuple[float, float]]]:
    """Ask without pause for a while, every second request to be cancelled; return replies and memory by time."""
    end = time.perf_counter() + seconds
    memory: list[tuple[float, float]] = []
    typical = await time_one(bench, arm, turn)

    async def read(reader: int) -> list[Reply]:
        chance = random.Random(f"{turn} {reader}")
        replies: list[Reply] = []
        while time.perf_counter() < end:
            ask = build_ask(bench, chance, seed=(NAME, turn, reader, len(replies)))
            after = chance.uniform(0, 2 * typical) if chance.random() < 0.5 else None
            replies.append((await arm.client.ask(replace(ask, cancel_after=after))).read())
        return replies

    async def watch() -> list[Reply]:
        while time.perf_counter() < end:
            memory.append((time.perf_counter(), read_rss(arm.pid)))
            await asyncio.sleep(SAMPLE_SECONDS)
        return []

    everything = await asyncio.gather(watch(), *map(read, range(READERS)))
    return [reply for replies in everything for reply in replies], memory


def build_ask(bench: Bench, chance: random.Random, *, seed: object) -> Ask:
    """Return a request of any length."""
    prompt, text = bench.words.draw(chance.randint(8, LONGEST_PROMPT), seed=seed)
    return Ask(tokens=prompt, text=text, max_tokens=ANSWER)


async def time_one(bench: Bench, arm: Arm, turn: int) -> float:
    """Return the seconds that one answer alone takes."""
    began = time.perf_counter()
    await arm.client.ask(build_ask(bench, random.Random(0), seed=(NAME, turn, "alone")))
    return time.perf_counter() - began
