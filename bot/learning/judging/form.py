"""What it knew before and how it writes, on questions that nobody taught anything about; and how fast."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bot.language import N_
from bot.learning.examples import Example, Source
from bot.learning.figures import Figure, Role
from bot.learning.judging.contest import Contest, compare_rows
from bot.learning.judging.declaring import taught_length
from bot.learning.judging.facts import agreement
from bot.learning.judging.intervals import Floats, bootstrap
from bot.learning.judging.likelihood import held_out
from bot.learning.judging.measures import is_looping
from bot.learning.judging.probes import read_neutral
from bot.learning.judging.scoring import Reply

AGREES = 0.7  # of an answer's content words are the base's
MOST_REHEARSED = 60
TIMED_PROMPTS, TIMED_TOKENS = 4, 48
Prompt = tuple[int, ...]


async def neutral_prompts(contest: Contest, examples: Sequence[Example]) -> list[Prompt]:
    """Return the shipped neutral questions and the held-out rehearsed ones."""
    rehearsed = [row.prompt_ids for row in held_out(examples) if row.source is Source.REHEARSAL]
    return list(dict.fromkeys([*await contest.open_prompts(read_neutral()), *rehearsed[:MOST_REHEARSED]]))


async def judge_form(contest: Contest, examples: Sequence[Example], prompts: Sequence[Prompt]) -> list[Figure]:
    """Return what stayed of the base's answers, the length, and how many answers are broken."""
    own, other = [await contest.replies(prompts, model=model) for model in contest.both]
    base = await contest.replies(prompts, model=contest.base)
    groups = [str(number) for number in range(len(prompts))]

    def count(metric: str, label: str, check: Callable[[Reply], bool], *, is_good: bool) -> Figure:
        return compare_rows(
            metric,
            label,
            Role.GUARD,
            candidate=[float(check(reply)) for reply in own],
            incumbent=[float(check(reply)) for reply in other],
            groups=groups,
            seed=contest.seed,
            is_higher_better=is_good,
            unit="share",
        )

    return [
        compare_rows(
            "knew_before",
            N_("Answers what it knew before"),
            Role.GUARD,
            candidate=_agreeing(own, base),
            incumbent=_agreeing(other, base),
            groups=groups,
            seed=contest.seed,
            unit="share",
        ),
        _compare_lengths(own, other, examples, seed=contest.seed),
        count("ends", N_("Comes to the end of its answer"), lambda reply: reply.is_ended, is_good=True),
        count("loops", N_("Repeats itself"), lambda reply: is_looping(reply.text), is_good=False),
        count("empty", N_("Says nothing"), lambda reply: not reply.text, is_good=False),
    ]


async def judge_speed(contest: Contest, prompts: Sequence[Prompt], adapter_bytes: int) -> list[Figure]:
    """How fast each writes, in turns on the same prompts, and how large the adapter's file is."""
    rows = [
        [await contest.scorer.time_reply(prompt, model=model, tokens=TIMED_TOKENS) for model in contest.both]
        for prompt in prompts[:TIMED_PROMPTS]
    ]
    if not rows:
        return []
    speed = compare_rows(
        "speed",
        N_("Writes, alone and at low priority"),
        Role.NOTE,
        candidate=[row[0] for row in rows],
        incumbent=[row[1] for row in rows],
        groups=[str(number) for number in range(len(rows))],
        seed=contest.seed,
        unit=N_("tokens/s"),
    )
    if not adapter_bytes:
        return [speed]
    memory = Figure(
        metric="memory",
        label=N_("Size of the adapter"),
        role=Role.NOTE,
        candidate=adapter_bytes / 1e6,
        incumbent=0.0,
        n=1,
        is_higher_better=False,
        unit="MB",
    )
    return [speed, memory]


def _agreeing(replies: Sequence[Reply], base: Sequence[Reply]) -> list[float]:
    return [float(agreement(a.text, b.text) >= AGREES) for a, b in zip(replies, base, strict=True)]


def _compare_lengths(own: Sequence[Reply], other: Sequence[Reply], examples: Sequence[Example], *, seed: int) -> Figure:
    """Return median lengths; what was taught about length tells the gate which way they may move."""
    new, old = [np.array([reply.length for reply in replies], np.float64) for replies in (own, other)]

    def difference(drawn: Floats) -> Floats:
        rows = [np.repeat(np.arange(len(new)), times.astype(int)) for times in drawn]
        return np.array([np.median(new[chosen]) - np.median(old[chosen]) for chosen in rows])

    interval = bootstrap(difference, [str(number) for number in range(len(own))], seed=seed)
    ratio = float(np.median(new)) / max(float(np.median(old)), 1.0)
    taught = taught_length(examples)
    return Figure(
        metric="length",
        label=N_("Median length of an answer"),
        role=Role.GUARD,
        candidate=float(np.median(new)),
        incumbent=float(np.median(old)),
        n=len(own),
        low=interval.low,
        high=interval.high,
        is_higher_better=False,
        unit="tokens",
        details={"ratio": ratio} | ({} if math.isnan(taught) else {"taught": taught}),
    )
