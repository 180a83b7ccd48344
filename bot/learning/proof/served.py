"""Scores as the engine gives them, over the same API and from the same contexts that answer the team.

Needs the engine alone: texts go in as token ids, so neither a template nor a tokenizer can differ.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot.engine.client import EngineClient
from bot.errors import EngineError
from bot.learning.proof.scores import Scores

NAMED = 20  # as many of the likeliest tokens as the API gives
BACKGROUND = 2  # the engine's lowest class: people who wait for an answer go first


@dataclass(frozen=True, slots=True)
class Trial:
    """What the engine says of the same texts: the base, the adapter over it, and the base when that is gone again."""

    before: Sequence[Scores]
    adapted: Sequence[Scores]
    after: Sequence[Scores]


async def try_adapter(
    client: EngineClient, texts: Sequence[Sequence[int]], *, base: str, adapter: Path, sha256: str
) -> Trial:
    """Serve an adapter for a moment under a name that nobody knows; *EngineError* says why the engine refuses it.

    The engine has to be idle: with others' answers in its batches, the last bits of the scores differ (P6).
    """
    name = f"candidate-{secrets.token_hex(8)}"
    before = await score_served(client, texts, model=base)
    await client.load_adapter(name, adapter, sha256=sha256)
    try:
        adapted = await score_served(client, texts, model=name)
    finally:
        await client.unload_adapter(name)
    return Trial(before, adapted, await score_served(client, texts, model=base))


async def score_served(client: EngineClient, texts: Sequence[Sequence[int]], *, model: str) -> list[Scores]:
    """Return what the served *model* or adapter thinks of each text."""
    return [await _score(client, text, model) for text in texts]


async def _score(client: EngineClient, text: Sequence[int], model: str) -> Scores:
    answer: Any = await client.complete(
        {"model": model, "prompt": list(text), "max_tokens": 1, "prompt_logprobs": NAMED, "priority": BACKGROUND}
    )
    try:
        return read_scores(text, answer["choices"][0]["prompt_logprobs"])
    except (KeyError, IndexError, TypeError) as error:
        raise EngineError("The model's server gives no prompt_logprobs, and training needs them.") from error


def read_scores(text: Sequence[int], rows: Sequence[dict[str, dict[str, float]] | None]) -> Scores:
    """Return the scores in an answer's *prompt_logprobs*: nothing for the first token, then a table for each."""
    given, ids, top = [], [], []
    for token, row in zip(text[1:], rows[1:], strict=True):
        ranked = sorted((entry["rank"], int(name), entry["logprob"]) for name, entry in (row or {}).items())
        given.append(next(logprob for _, name, logprob in ranked if name == token))
        ids.append([name for _, name, _ in ranked[:NAMED]])
        top.append([logprob for _, _, logprob in ranked[:NAMED]])
    return Scores(tuple(text), np.array(given, np.float32), np.array(ids, np.int64), np.array(top, np.float32))
