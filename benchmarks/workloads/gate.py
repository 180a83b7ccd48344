"""Correctness before speed: what ours writes without chance is compared with one sequence computed alone.

- many prompts at once against the bare loop, one after the other: the same tokens?
- a prompt continued from the cache against the same prompt unseen: the same tokens?
- many conversations under memory pressure and cancellations, each with a name of its own: does one ever say another's?
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.arms import OURS, Arm, start_ours
from benchmarks.bench import Bench
from benchmarks.ceiling import start_ceiling
from benchmarks.client import GREEDY, Ask, Reply

NAME = "gate"
SEQUENCES = 8
STEPS = 32
TOPICS = (
    *("a code review", "a stand-up", "a rollback", "the backlog", "a feature flag", "an incident", "a runbook"),
    *("the roadmap", "a merge conflict", "a unit test", "staging", "a hotfix", "a sprint", "the release", "an API"),
    *("a post-mortem", "a load balancer", "the database", "a pull request", "a deadline"),
)
FORMS = (
    *("What is {}?", "Why do we need {}?", "Explain {} in one sentence.", "Who looks after {}?", "How do I start {}?"),
    *("Write a note to the team about {}.", "Give me three tips for {}.", "What can go wrong with {}?"),
    *("When is {} finished?", "Make a checklist for {}."),
)
WARM = 16  # second turns that are remembered at the same time
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ka", "lem", "mi", "no", "pu", "ra", "sel", "ti", "vo", "zu")
QUESTION = "What is my project called?"
SHOWN = 5

Tokens = Sequence[int]
Answers = Sequence[Sequence[tuple[int, float]]]


async def run(bench: Bench) -> None:
    """Compare, and say where the first differences are and how close the choice was there."""
    serving = bench.sized(n_ctx=512, sequences=SEQUENCES)
    count = bench.plan.gate_prompts
    async with start_ceiling(serving) as ceiling, start_ours(serving) as arm:
        prompts = await write_prompts(arm, count)
        alone = await ceiling.continue_greedily(prompts, steps=STEPS)
        replies = await ask_some(arm, [greedy(prompt) for prompt in prompts], at_once=2 * SEQUENCES)
        values = {"equal": compare(bench, "alone", alone, replies)}
        turns = [(*prompt, *(token for token, _ in answer)) for prompt, answer in zip(prompts, alone, strict=True)]
        seconds = [(*turn, *prompts[index - 1]) for index, turn in enumerate(turns)]
        reference = await ceiling.continue_greedily(seconds[: count // 2], steps=STEPS)
        values |= await compare_cached(bench, arm, turns, seconds[: count // 2], reference)
    bench.add(NAME, f"{count} prompts", OURS, 0, values)
    async with start_ours(bench.sized(n_ctx=128, sequences=SEQUENCES)) as arm:
        bench.add(NAME, "canaries", OURS, 0, await look_for_canaries(arm, count * 5))


def compare(bench: Bench, case: str, reference: Answers, replies: Sequence[Reply]) -> float:
    """Return the share of replies that are the reference's tokens; note the first that are not."""
    places = [first_difference(reply.token_ids, answer) for reply, answer in zip(replies, reference, strict=True)]
    different = [(index, place) for index, place in enumerate(places) if place is not None]
    for index, place in different[:SHOWN]:
        lead = reference[index][min(place, len(reference[index]) - 1)][1]
        where = f"prompt {index} differs first at token {place}, where the likeliest leads by {lead:.2g} in logits"
        bench.results.note(f"{NAME} {bench.name} {case}: {where}")
    return 1 - len(different) / len(places)


async def compare_cached(
    bench: Bench, arm: Arm, turns: Sequence[Tokens], seconds: Sequence[Tokens], reference: Answers
) -> dict[str, float]:
    """Return how often a second turn from the cache is what is written alone, and what is written unseen."""
    salts = [f"{NAME} {index}" for index in range(len(seconds))]
    pairs = list(zip(salts, turns, seconds, strict=False))
    await ask_some(arm, [greedy(turn, salt=salt, steps=1) for salt, turn, _ in pairs[:WARM]], at_once=SEQUENCES)
    warm: list[Reply] = []
    for start in range(0, len(pairs), WARM):
        part = pairs[start : start + WARM]
        await ask_some(arm, [greedy(turn, salt=salt, steps=1) for salt, turn, _ in part], at_once=SEQUENCES)
        warm += await ask_some(arm, [greedy(second, salt=salt) for salt, _, second in part], at_once=SEQUENCES)
    cold = await ask_some(arm, [greedy(second) for second in seconds], at_once=SEQUENCES)
    same = sum(first.token_ids == other.token_ids for first, other in zip(warm, cold, strict=True))
    return {
        "cached_equal": compare(bench, "from the cache", reference, warm),
        "cold_equal": compare(bench, "second turn unseen", reference, cold),
        "cached_as_cold": same / len(pairs),
        "from_cache": sum(reply.cached_tokens > 0 for reply in warm) / len(pairs),
    }


async def write_prompts(arm: Arm, count: int) -> list[Tokens]:
    """Return questions as the model's template writes them; *count* of them are different."""
    prompts: list[Tokens] = []
    for index in range(count):
        topic, form = TOPICS[index % len(TOPICS)], FORMS[index // len(TOPICS) % len(FORMS)]
        body = {"messages": [{"role": "user", "content": form.format(topic)}]}
        async with arm.client.session.post(f"{arm.client.url}/tokenize", json=body) as response:
            prompts.append((await response.json())["tokens"])
    return prompts


def greedy(prompt: Tokens, *, salt: str = "", steps: int = STEPS) -> Ask:
    """Return a request without chance that answers with token ids."""
    sampling = dict(GREEDY)
    return Ask(tokens=tuple(prompt), max_tokens=steps, sampling=sampling, salt=salt, wants_token_ids=True)


async def ask_some(arm: Arm, asks: Sequence[Ask], *, at_once: int) -> list[Reply]:
    """Send all, at most *at_once* at a time, and return the replies in order."""
    places = asyncio.Semaphore(at_once)

    async def ask(one: Ask) -> Reply:
        async with places:
            return (await arm.client.ask(one)).read()

    return await asyncio.gather(*map(ask, asks))


def first_difference(tokens: Tokens, answer: Sequence[tuple[int, float]]) -> int | None:
    """Return where an answer leaves the reference, None if they are equal."""
    for place, (token, (expected, _)) in enumerate(zip(tokens, answer, strict=False)):
        if token != expected:
            return place
    return None if len(tokens) == len(answer) else min(len(tokens), len(answer))


async def look_for_canaries(arm: Arm, count: int) -> dict[str, float]:
    """Return how many of *count* threads knew the name that was told in them, and how many said another thread's."""
    chance = random.Random(NAME)
    names = [f"{''.join(chance.choices(SYLLABLES, k=4)).capitalize()}" for _ in range(count)]
    places = asyncio.Semaphore(4 * SEQUENCES)

    async def hold(index: int) -> tuple[str, str]:
        async with places:
            chat = [{"role": "user", "content": f"My project is called {names[index]}."}]
            first = await say(arm, chat, index, None)
            chat += [{"role": "assistant", "content": first.text}, {"role": "user", "content": QUESTION}]
            await say(arm, chat, index, chance.uniform(0, 0.3) if index % 3 == 0 else None)
            second = await say(arm, chat, index, None)
            return f"{first.text} {second.text}".lower(), first.error or second.error

    answers = await asyncio.gather(*map(hold, range(count)))
    lowered = [name.lower() for name in names]
    return {
        "conversations": count,
        "said_own": sum(name in text for name, (text, _) in zip(lowered, answers, strict=True)),
        "said_foreign": sum(
            any(name in text and name != own for name in lowered)
            for own, (text, _) in zip(lowered, answers, strict=True)
        ),
        "errors": sum(bool(error) for _, error in answers),
    }


async def say(arm: Arm, chat: list[dict[str, str]], index: int, cancel_after: float | None) -> Reply:
    """Send a thread as it stands and return the answer, or what had come of it when it was cancelled."""
    ask = Ask(messages=tuple(chat), max_tokens=20, sampling=dict(GREEDY), salt=f"canary {index}")
    return (await arm.client.ask(replace(ask, cancel_after=cancel_after))).read()
