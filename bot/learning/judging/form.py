"""What it knew before and how it writes, on questions that nobody taught anything about; and how fast."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bot.language import N_
from bot.learning.examples import Example, Source
from bot.learning.figures import Figure, Role
from bot.learning.judging.contest import Contest, compare_rows
from bot.learning.judging.declaring import taught_length
from bot.learning.judging.facts import agreement, holds_fact
from bot.learning.judging.intervals import Floats, bootstrap
from bot.learning.judging.likelihood import held_out
from bot.learning.judging.measures import is_looping
from bot.learning.judging.probes import Case, read_neutral
from bot.learning.judging.scoring import Reply

AGREES = 0.7  # of an answer's content words are the base's
FEWEST_KNOWN = 20  # right answers of the base, from which what it did not know says nothing
MOST_REHEARSED = 60
TIMED_PROMPTS, TIMED_TOKENS = 4, 48
Prompt = tuple[int, ...]


async def neutral_prompts(contest: Contest, examples: Sequence[Example]) -> list[Prompt]:
    """Return the shipped neutral questions and the held-out rehearsed ones."""
    rehearsed = [row.prompt_ids for row in held_out(examples) if row.source is Source.REHEARSAL]
    neutral = await contest.open_prompts([case.question for case in read_neutral()])
    return list(dict.fromkeys([*neutral, *rehearsed[:MOST_REHEARSED]]))


async def judge_form(contest: Contest, examples: Sequence[Example], prompts: Sequence[Prompt]) -> list[Figure]:
    """Return what stayed of the base's right answers, what strayed into others, the length, and what is broken.

    *prompts* are those of `neutral_prompts`: the shipped questions come first.
    """
    own, other = [await contest.replies(prompts, model=model) for model in contest.both]
    base = await contest.replies(prompts, model=contest.base)
    cases, taught = read_neutral(), _read_taught(examples)
    said_own, said_other, said_base = [[reply.text for reply in replies] for replies in (own, other, base)]
    known = find_known(cases, said_base)

    def share(
        metric: str, label: str, found: Sequence[list[float]], numbers: Sequence[int], *, is_good: bool
    ) -> Figure:
        return compare_rows(
            metric,
            label,
            Role.GUARD,
            candidate=found[0],
            incumbent=found[1],
            groups=[str(number) for number in numbers],
            seed=contest.seed,
            is_higher_better=is_good,
            unit="share",
        )

    def count(metric: str, label: str, check: Callable[[Reply], bool], *, is_good: bool) -> Figure:
        counted = [[float(check(reply)) for reply in replies] for replies in (own, other)]
        return share(metric, label, counted, range(len(prompts)), is_good=is_good)

    kept = [count_kept(cases, said, said_base, known) for said in (said_own, said_other)]
    strays = [count_strays(cases, said, said_base, taught) for said in (said_own, said_other)]
    astray = N_("Says what it was taught where nobody asked for it")
    return [
        share("knew_before", N_("Answers what it knew before"), kept, known, is_good=True),
        share("strays", astray, strays, range(len(cases)), is_good=False),
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


def find_known(cases: Sequence[Case], answers: Sequence[str]) -> list[int]:
    """Return the numbers of the base's *answers* that can be lost: right ones, and all to questions without a case.

    A base that is right too seldom is not judged by words (it may answer in another language): all its answers count.
    """
    right = [number for number, case in enumerate(cases) if case.accepts(answers[number])]
    first = right if len(right) >= FEWEST_KNOWN else range(len(cases))
    return [*first, *range(len(cases), len(answers))]


def count_kept(
    cases: Sequence[Case], answers: Sequence[str], untaught: Sequence[str], known: Sequence[int]
) -> list[float]:
    """Return for each *known* question whether the answer is right, or says what the base's, *untaught*, says."""
    return [
        float(
            (number < len(cases) and cases[number].accepts(answers[number]))
            or agreement(answers[number], untaught[number]) >= AGREES
        )
        for number in known
    ]


def count_strays(
    cases: Sequence[Case], answers: Sequence[str], untaught: Sequence[str], taught: Sequence[str]
) -> list[float]:
    """Return for each shipped question whether the answer holds a *taught* fact, which answers none of them."""
    return [
        float(any(holds_fact(fact, answer, before, question=case.question) for fact in taught))
        for case, answer, before in zip(cases, answers, untaught, strict=False)
    ]


def _read_taught(examples: Sequence[Example]) -> list[str]:
    """Return the corrections that a run learned from, each once."""
    return list(dict.fromkeys(row.answer for row in examples if row.source is Source.CORRECTION and row.answer))


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
