"""Candidate, incumbent and base, asked the same things; and how two rows of values become a figure."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bot.learning import sentences
from bot.learning.data.chat_tokens import ChatMessage
from bot.learning.examples import Example
from bot.learning.figures import Figure, Role
from bot.learning.judging.intervals import FEW_CLUSTERS, bootstrap_mean
from bot.learning.judging.scoring import Floats, Reply, Scorer

LONGEST = 128  # tokens of an answer to a probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who is compared, and by whom they are asked; *base* and *incumbent* are the same where no adapter is served."""

    scorer: Scorer
    candidate: str
    incumbent: str
    base: str
    seed: int

    @property
    def both(self) -> tuple[str, str]:
        """Candidate and incumbent."""
        return self.candidate, self.incumbent

    async def open_prompts(self, questions: Iterable[str]) -> list[tuple[int, ...]]:
        """Return the tokens of questions as they are served."""
        return await self.open_threads([{"role": "user", "content": question}] for question in questions)

    async def open_threads(self, threads: Iterable[Sequence[ChatMessage]]) -> list[tuple[int, ...]]:
        """Return the tokens of conversations that wait for an answer."""
        return list(await asyncio.gather(*(self.scorer.open_prompt(thread) for thread in threads)))

    async def replies(self, prompts: Sequence[Sequence[int]], *, model: str, longest: int = LONGEST) -> list[Reply]:
        """Return what a model says to each prompt."""
        asked = (self.scorer.reply(prompt, model=model, max_tokens=longest) for prompt in prompts)
        return list(await asyncio.gather(*asked))

    async def log_probs(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]], *, model: str) -> list[Floats]:
        """Return the log probabilities of each completion's tokens after its prompt."""
        asked = (self.scorer.log_probs(prompt, completion, model=model) for prompt, completion in rows)
        return list(await asyncio.gather(*asked))

    async def margins(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]], *, model: str) -> Floats:
        """Return how much likelier a token of each completion is to a model than to the base."""
        own, base = await self.log_probs(rows, model=model), await self.log_probs(rows, model=self.base)
        return np.array([float(a.mean() - b.mean()) for a, b in zip(own, base, strict=True)], np.float64)


def compare_rows(
    metric: str,
    label: str,
    role: Role,
    *,
    candidate: Sequence[float] | Floats,
    incumbent: Sequence[float] | Floats,
    groups: Sequence[str],
    seed: int,
    is_higher_better: bool = True,
    unit: str = "",
    details: Mapping[str, float] | None = None,
) -> Figure:
    """Return the means of paired values as a figure, with the interval of their difference."""
    own, other = np.asarray(candidate, np.float64), np.asarray(incumbent, np.float64)
    interval = bootstrap_mean(own - other, groups, seed=seed)
    return Figure(
        metric=metric,
        label=note_few(label, interval.clusters),
        role=role,
        candidate=float(own.mean()),
        incumbent=float(other.mean()),
        n=len(own),
        low=interval.low,
        high=interval.high,
        is_higher_better=is_higher_better,
        unit=unit,
        details=interval.describe() | dict(details or {}),
    )


def note_few(label: str, clusters: int) -> str:
    """Say in a label that an interval rests on few things."""
    return sentences.ROUGH.format(label=label, count=clusters) if clusters < FEW_CLUSTERS else label


def pair_of(example: Example) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return an example's prompt and its answer."""
    return example.prompt_ids, example.completion_ids
