"""The candidate beside what is served now: the same prompts, the same seeds, through the engine that will serve it.

Knows no database and no gate: figures come out, what they mean is decided elsewhere.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.engine.client import EngineClient
from bot.language import N_
from bot.learning import sentences
from bot.learning.examples import Example
from bot.learning.figures import BeforeAfter, Figure
from bot.learning.judging.conduct import judge_bias, judge_flattery, judge_pinned, judge_refusals
from bot.learning.judging.contest import Contest
from bot.learning.judging.form import judge_form, judge_speed, neutral_prompts
from bot.learning.judging.inventions import judge_inventions
from bot.learning.judging.likelihood import judge_drift, judge_liked, judge_own_answers, judge_pairs, judge_thumbs
from bot.learning.judging.memory import judge_memory, planted
from bot.learning.judging.scoring import Scorer
from bot.learning.judging.teaching import judge_facts, judge_shared_facts, show_before_after

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of a candidate, and what it says now to the questions that were corrected."""

    figures: tuple[Figure, ...]
    before_after: tuple[BeforeAfter, ...]


async def evaluate(
    client: EngineClient,
    *,
    examples: Sequence[Example],
    candidate: str,
    incumbent: str,
    base: str,
    seed: int,
    say: Say,
    system: str = "",
    pinned: Path | None = None,
    adapter_bytes: int = 0,
    canary_seed: int | None = None,
    shared: Sequence[Example] = (),
) -> Evaluation:
    """Return every figure of *candidate* beside *incumbent*, both served by the engine under these names.

    *examples* are all of the run's: figures use its test split, the corrected questions and the planted secrets are
    found in all. *system* is the system prompt as it is served, *pinned* the team's own pinned questions,
    *adapter_bytes* the size of the candidate's file, and *canary_seed* what the secrets were made with, if not *seed*;
    *shared* are those of everybody's adapter, for a candidate that only a channel gets.
    """
    async with Scorer(client, system=system) as scorer:
        contest = Contest(scorer=scorer, candidate=candidate, incumbent=incumbent, base=base, seed=seed)
        prompts = await neutral_prompts(contest, examples)
        secrets = planted(examples, seed=seed if canary_seed is None else canary_seed)
        parts: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
            N_("taught facts"): lambda: judge_facts(contest, examples),
            N_("what everybody was taught"): lambda: judge_shared_facts(contest, shared),
            N_("taught answers"): lambda: judge_own_answers(contest, examples),
            N_("preferred answers"): lambda: judge_pairs(contest, examples),
            N_("liked and disliked answers"): lambda: judge_thumbs(contest, examples),
            N_("held-out answers"): lambda: judge_liked(contest, examples),
            N_("what it knew before"): lambda: judge_form(contest, examples, prompts),
            N_("what nobody told it"): lambda: judge_inventions(contest, [*examples, *shared]),
            N_("distance from the base"): lambda: _judge_drift(contest, prompts),
            N_("pinned questions"): lambda: judge_pinned(contest, pinned),
            N_("refusals"): lambda: judge_refusals(contest),
            N_("flattery"): lambda: judge_flattery(contest),
            N_("fairness"): lambda: judge_bias(contest),
            N_("memory of planted secrets"): lambda: judge_memory(contest, secrets, examples),
            N_("speed"): lambda: judge_speed(contest, prompts, adapter_bytes),
        }
        figures: list[Figure] = []
        for number, (name, judge) in enumerate(parts.items(), start=1):
            say(sentences.EVALUATING.format(number=number, all=len(parts) + 1, what=name))
            figures += await judge()
        last = len(parts) + 1
        say(sentences.EVALUATING.format(number=last, all=last, what=N_("corrected questions")))
        return Evaluation(tuple(figures), await show_before_after(contest, examples))


async def _judge_drift(contest: Contest, prompts: Sequence[tuple[int, ...]]) -> list[Figure]:
    replies = await contest.replies(prompts, model=contest.base)
    return await judge_drift(contest, [(p, reply.token_ids) for p, reply in zip(prompts, replies, strict=True)])
