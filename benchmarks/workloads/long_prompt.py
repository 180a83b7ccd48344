"""W4: eight people read their answers as one more pastes a very long text; how long do the eight stand still?

The work is the same in every arm: the eight answers are as long as ours needs to still be writing when the long
prompt has been computed. So the wall time of all nine says what the fairness costs.
"""

import asyncio
from itertools import pairwise

from benchmarks.arms import PYTHON_SERVER, Arm, read_processor_seconds
from benchmarks.bench import Bench, count_tokens, in_turns, quiet_client
from benchmarks.client import Ask, Reply
from benchmarks.figures import quantile
from benchmarks.step_times import measure_steps, read_metrics

NAME = "W4"
STREAMS = 8
SHORT = 64
LONG_ANSWER = 16
ROOM = 768  # what the eight answers may have, besides the long prompt


async def run(bench: Bench) -> None:
    """Measure the longest gap and what the whole cost, in turns."""
    wanted, length = bench.plan.long_prompt, long_prompt(bench)
    if length < wanted:
        limit = f"{bench.n_ctx_train} tokens of context"
        bench.results.note(f"W4 on {bench.name}: the model has {limit}, so the long prompt has {length}, not {wanted}.")
    serving = bench.sized(n_ctx=max(length + 2 * LONG_ANSWER, SHORT + ROOM), sequences=STREAMS + 1)
    async with bench.arms(serving, workload=NAME, kv=("split", "unified")) as arms:
        chosen = [arm for arm in arms if arm.name != PYTHON_SERVER]
        for arm in chosen:
            await arm.client.ask_all(build_asks(bench, turn=-1, tokens=16))
        answer = min(ROOM, await choose_answer(bench, chosen[0]))
        for turn, arm in in_turns(chosen, bench.plan.rounds):
            before = await read_metrics(arm)
            values = await measure(bench, arm, turn, answer)
            steps = measure_steps(before, await read_metrics(arm))
            bench.add(NAME, f"{STREAMS} x {answer} + {length}", arm.name, turn, values | steps)


def long_prompt(bench: Bench) -> int:
    """Return the long prompt's length; it must fit into what the model was made for."""
    return min(bench.plan.long_prompt, bench.n_ctx_train - 4 * LONG_ANSWER)


def build_asks(bench: Bench, *, turn: int, tokens: int) -> list[Ask]:
    """Return the eight requests."""
    asks = []
    for index in range(STREAMS):
        prompt, text = bench.words.draw(SHORT, seed=(NAME, turn, index))
        asks.append(Ask(tokens=prompt, text=text, max_tokens=tokens, seed=index))
    return asks


async def choose_answer(bench: Bench, arm: Arm) -> int:
    """Return how long the eight answers have to be, from a trial: how far they came while the long prompt was read."""
    replies, pasted = await paste(bench, arm, -1, ROOM)
    progress = max(count_tokens(reply, until=pasted.times[0]) for reply in replies)
    return int(progress * 1.2) + 2 * LONG_ANSWER


async def paste(bench: Bench, arm: Arm, turn: int, answer: int) -> tuple[list[Reply], Reply]:
    """Send the long prompt as soon as all eight have begun; return the eight replies and the long one's."""
    prompt, text = bench.words.draw(long_prompt(bench), seed=(NAME, turn, "long"))
    asks = build_asks(bench, turn=turn, tokens=answer)
    signs = [asyncio.Event() for _ in asks]
    pairs = zip(asks, signs, strict=True)
    tasks = [asyncio.create_task(arm.client.ask(ask, begun=sign)) for ask, sign in pairs]
    await asyncio.wait([asyncio.ensure_future(sign.wait()) for sign in signs], timeout=60)
    pasted = await arm.client.ask(Ask(tokens=prompt, text=text, max_tokens=LONG_ANSWER))
    return [reply.read() for reply in await asyncio.gather(*tasks)], pasted.read()


async def measure(bench: Bench, arm: Arm, turn: int, answer: int) -> dict[str, float]:
    """Return the longest gap in the eight answers after the long prompt was sent, and the speed of everything."""
    values: dict[str, float] = {}
    used = read_processor_seconds(arm.pid)
    with quiet_client(values):
        replies, pasted = await paste(bench, arm, turn, answer)
    gaps = [gap * 1000 for reply in replies for gap in late_gaps(reply.times, pasted.began)]
    everybody = [*replies, pasted]
    wall = max(reply.ended for reply in everybody) - min(reply.began for reply in everybody)
    computed = sum(reply.completion_tokens for reply in everybody) + STREAMS * SHORT + long_prompt(bench)
    return {
        "longest_gap": max(gaps, default=float("nan")),
        "gap_p50": quantile(gaps, 0.5),
        "gap_p95": quantile(gaps, 0.95),
        "long_ttft": pasted.first * 1000,
        "wall_seconds": wall,
        "processor_seconds": read_processor_seconds(arm.pid) - used,
        "computed_per_second": computed / wall,
        "outlasted": sum(reply.ended > pasted.times[0] for reply in replies) if pasted.times else 0,
        "errors": sum(bool(reply.error) for reply in everybody),
        **values,
    }


def late_gaps(times: list[float], start: float) -> list[float]:
    """Return the gaps that end after *start*."""
    return [after - before for before, after in pairwise(times) if after > start]
