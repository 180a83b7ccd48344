"""W1: 1, 2, 4, ... answers are written at the same time, nothing else happens; how far from the bare loop?"""

import asyncio
import sys

from benchmarks.arms import OURS, PYTHON_SERVER, Arm, read_processor_seconds
from benchmarks.bench import Bench, in_turns, quiet_client, summarise
from benchmarks.ceiling import DECODE_AND_SAMPLE, DECODE_ONLY, Ceiling, start_ceiling
from benchmarks.client import SAMPLING, Ask
from benchmarks.step_times import measure_steps, read_metrics

NAME = "W1"
HOST_WIDTH = 16


async def run(bench: Bench) -> None:
    """Measure every width in every arm, in turns."""
    plan = bench.plan
    widest = max(plan.widths)
    if HOST_WIDTH in plan.widths and plan.gpu_layers == 0:
        bench.add(NAME, f"host {HOST_WIDTH}", OURS, 0, await measure_host(bench, HOST_WIDTH))
    length = plan.prompt_tokens + plan.answer_tokens + 8
    serving = bench.sized(n_ctx=length * 2, sequences=widest)
    async with start_ceiling(serving) as ceiling, bench.arms(serving, workload=NAME, kv=("split", "unified")) as arms:
        for arm in arms:
            await arm.client.ask_all(build_asks(bench, min(4, widest), turn=-1, tokens=16))
        for width in plan.widths:
            chosen = [arm for arm in arms if arm.name != PYTHON_SERVER or width <= 4]
            for turn, arm in in_turns([DECODE_ONLY, DECODE_AND_SAMPLE, *chosen], plan.rounds):
                if isinstance(arm, Arm):
                    values = await measure(bench, arm, width, turn)
                    bench.add(NAME, str(width), arm.name, turn, values)
                else:
                    values = await measure_ceiling(bench, ceiling, width, turn, samples=arm == DECODE_AND_SAMPLE)
                    bench.add(NAME, str(width), arm, turn, values)


async def measure_host(bench: Bench, width: int) -> dict[str, float]:
    """Return the milliseconds of a step of our loop alone that are spent outside llama.cpp."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.host_time", "--model", str(bench.serving.model)),
        *("--sequences", str(width), "--steps", "100"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    _, step, host = output.decode().splitlines()[-1].split()
    return {"host_step_ms": float(step), "host_ms": float(host)}


def build_asks(bench: Bench, width: int, *, turn: int, tokens: int) -> list[Ask]:
    """Return *width* requests with prompts that nobody has seen before."""
    asks = []
    for index in range(width):
        prompt, text = bench.words.draw(bench.plan.prompt_tokens, seed=(NAME, width, turn, index))
        asks.append(Ask(tokens=prompt, text=text, max_tokens=tokens, seed=index))
    return asks


async def measure(bench: Bench, arm: Arm, width: int, turn: int) -> dict[str, float]:
    """Return what one server did in one turn."""
    values: dict[str, float] = {}
    before, used = await read_metrics(arm), read_processor_seconds(arm.pid)
    with quiet_client(values):
        replies = await arm.client.ask_all(build_asks(bench, width, turn=turn, tokens=bench.plan.answer_tokens))
    tokens = sum(reply.completion_tokens for reply in replies)
    values["processor_ms"] = (read_processor_seconds(arm.pid) - used) * 1000 / max(1, tokens)
    return summarise(replies) | values | measure_steps(before, await read_metrics(arm))


async def measure_ceiling(bench: Bench, ceiling: Ceiling, width: int, turn: int, *, samples: bool) -> dict[str, float]:
    """Return how fast the bare loop wrote as many tokens."""
    prompts = [ask.tokens for ask in build_asks(bench, width, turn=turn, tokens=0)]
    steps = bench.plan.answer_tokens - 1
    used = read_processor_seconds(ceiling.process.pid)
    seconds = await ceiling.time_decode(prompts, steps=steps, sampling=SAMPLING if samples else None)
    used = read_processor_seconds(ceiling.process.pid) - used
    return {
        "decode_per_second": width * steps / seconds,
        "step_ms": seconds / steps * 1000,
        "processor_ms": used * 1000 / (width * steps),
        "errors": 0,
    }
