"""W3: four threads of ten turns at once; how much of a thread is read again, and how soon does an answer begin?

Every third turn is asked twice: in its thread, and afterwards by a stranger to the server, whose first word differs.
"""

import asyncio

from benchmarks.arms import PYTHON_SERVER, Arm
from benchmarks.bench import Bench, in_turns, quiet_client, summarise
from benchmarks.chats import Chat
from benchmarks.client import Ask, Reply

NAME = "W3"
THREADS, TURNS = 4, 10
COLD_TURNS = (1, 4, 7)
SYSTEM, QUESTION, ANSWER = 200, 60, 40
N_CTX, SEQUENCES = 2048, 8


async def run(bench: Bench) -> None:
    """Measure warm and cold turns in every arm, in turns."""
    serving = bench.sized(n_ctx=min(N_CTX, bench.n_ctx_train), sequences=SEQUENCES)
    async with bench.arms(serving, workload=NAME) as arms:
        chosen = [arm for arm in arms if arm.name != PYTHON_SERVER]
        for turn, arm in in_turns(chosen, bench.plan.rounds):
            values: dict[str, float] = {}
            with quiet_client(values):
                warm, strangers = await talk(bench, arm, turn)
                cold = await ask_cold(arm, strangers)
            bench.add(NAME, f"{THREADS} x {TURNS}", arm.name, turn, compare(warm, cold) | values)


async def talk(bench: Bench, arm: Arm, turn: int) -> tuple[list[tuple[int, Reply]], list[list[Ask]]]:
    """Hold all threads at once; return the replies of turns two to ten by number, and some of the requests unseen."""
    later: list[tuple[int, Reply]] = []
    strangers: list[list[Ask]] = []

    async def hold(index: int) -> None:
        chat = Chat(bench.words, seed=(NAME, turn, index), salt=f"{NAME} {turn} {index}")
        chat.say("system", SYSTEM)
        unseen: list[Ask] = []
        for number in range(TURNS):
            chat.say("user", QUESTION)
            reply = (await arm.client.ask(chat.ask(max_tokens=ANSWER, seed=number))).read()
            if number:
                later.append((number, reply))
            if number in COLD_TURNS:
                _, mark = bench.words.draw(2, seed=(NAME, turn, index, number))
                unseen.append(chat.ask_unseen(max_tokens=ANSWER, mark=mark.strip()))
            chat.hear(reply.text)
        strangers.append(unseen)

    await asyncio.gather(*(hold(index) for index in range(THREADS)))
    return later, strangers


async def ask_cold(arm: Arm, strangers: list[list[Ask]]) -> list[Reply]:
    """Ask what the threads asked, as many at once, without anything to reuse."""

    async def follow(asks: list[Ask]) -> list[Reply]:
        return [(await arm.client.ask(ask)).read() for ask in asks]

    return [reply for replies in await asyncio.gather(*map(follow, strangers)) for reply in replies]


def compare(warm: list[tuple[int, Reply]], cold: list[Reply]) -> dict[str, float]:
    """Return what the threads' memory saved."""
    first, second = summarise([reply for _, reply in warm]), summarise(cold)
    twins = summarise([reply for number, reply in warm if number in COLD_TURNS])
    return {
        "saved": first["cached_tokens"] / max(1, first["prompt_tokens"]),
        "warm_ttft_p50": first["ttft_p50"],
        "warm_ttft_p95": first["ttft_p95"],
        "cold_ttft_p50": second["ttft_p50"],
        "ttft_share": twins["ttft_p50"] / second["ttft_p50"],
        "cold_cached": second["cached_tokens"] / max(1, second["prompt_tokens"]),
        "prompt_tokens": first["prompt_tokens"],
        "errors": first["errors"] + second["errors"],
    }
