"""W6: twice as many conversations as the KV cache holds, two turns each; does anybody fail, and what does it cost?

The same conversations go to an engine with room for all of them: "roomy" is what "tight" is compared with.
"""

import asyncio
from dataclasses import dataclass

from benchmarks.arms import LLAMA_SERVER_UNIFIED, OURS, Arm, Serving, start_llama_server, start_ours
from benchmarks.bench import Bench, in_turns, quiet_client, summarise
from benchmarks.chats import Chat
from benchmarks.client import Reply
from benchmarks.step_times import measure_growth, read_metrics

NAME = "W6"
SEQUENCES = 8
N_CTX = 512
SYSTEM, QUESTION, ANSWER = 20, 150, 60
LENGTH = SYSTEM + 2 * (QUESTION + ANSWER) + 30
TIGHT, ROOMY = "tight", "roomy"


@dataclass(frozen=True, slots=True)
class Case:
    """An arm with little or much room."""

    name: str
    arm: Arm


async def run(bench: Bench) -> None:
    """Measure the tight and the roomy engine in turns, and llama-server with as few cells."""
    tight = bench.sized(n_ctx=N_CTX, sequences=SEQUENCES)
    roomy = bench.sized(n_ctx=2 * N_CTX, sequences=SEQUENCES)
    async with start_ours(tight) as first, start_ours(roomy) as second:
        await measure_cases(bench, [Case(TIGHT, first), Case(ROOMY, second)], tight)
    if bench.plan.llama_server:
        async with start_llama_server(bench.plan.llama_server, tight, is_unified=True) as arm:
            bench.results.configs[f"{NAME} {bench.name} {LLAMA_SERVER_UNIFIED}"] = arm.config
            await measure_cases(bench, [Case(TIGHT, arm)], tight)


async def measure_cases(bench: Bench, cases: list[Case], tight: Serving) -> None:
    """Hold twice as many conversations as the tight cache has room for."""
    count = 2 * tight.cells // LENGTH
    for turn, case in in_turns(cases, bench.plan.rounds):
        before = await read_metrics(case.arm)
        values: dict[str, float] = {"conversations": count}
        with quiet_client(values):
            replies = await converse(bench, case.arm, count, turn)
        wall = max(reply.ended for reply in replies) - min(reply.began for reply in replies)
        values |= {"wall_seconds": wall, **measure_growth(before, await read_metrics(case.arm))}
        bench.add(NAME, case.name, case.arm.name, turn, summarise(replies) | values)
        if case.arm.name == OURS:
            bench.results.configs[f"{NAME} {bench.name} {OURS} {case.name}"] = case.arm.config


async def converse(bench: Bench, arm: Arm, count: int, turn: int) -> list[Reply]:
    """Hold all conversations at once and return every reply."""

    async def hold(index: int) -> list[Reply]:
        chat = Chat(bench.words, seed=(NAME, turn, index), salt=f"{NAME} {turn} {index}")
        chat.say("system", SYSTEM)
        replies = []
        for number in range(2):
            chat.say("user", QUESTION)
            replies.append((await arm.client.ask(chat.ask(max_tokens=ANSWER, seed=number))).read())
            chat.hear(replies[-1].text)
        return replies

    return [reply for replies in await asyncio.gather(*map(hold, range(count))) for reply in replies]
