"""Which of llama.cpp's samplers an answer uses, in which order, and log probabilities where they are asked for.

Pure; `llama.py` builds the chain in C.
"""

import secrets
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bot.engine.types import SamplingParams, TokenLogprob

MAX_SEED = 2**32 - 2  # llama.cpp reads 2**32 - 1 as "choose one yourself"


@dataclass(frozen=True, slots=True)
class Stage:
    """One sampler of a chain with its numbers; *tokens* are those it counts as already written."""

    kind: Literal["bias", "penalties", "top_k", "top_p", "min_p", "temperature", "seed", "greedy"]
    value: float = 0.0
    pairs: tuple[tuple[int, float], ...] = ()
    penalties: tuple[float, float, float] = (1.0, 0.0, 0.0)
    tokens: tuple[int, ...] = ()


def build_stages(
    params: SamplingParams, *, prompt: tuple[int, ...] = (), resumed_tokens: int = 0, max_tokens: int = 0
) -> tuple[Stage, ...]:
    """Return the chain for *params*; top_k comes before top_p, as sorting a whole vocabulary costs milliseconds."""
    changes = build_changes(params, prompt=prompt, resumed_tokens=resumed_tokens, max_tokens=max_tokens)
    if params.temperature <= 0:
        return (*changes, Stage("top_k", 1), Stage("greedy"))
    seed = secrets.randbelow(MAX_SEED) if params.seed is None else params.seed % MAX_SEED
    stages = [*changes, *([Stage("top_k", params.top_k)] if params.top_k > 0 else [])]
    if params.top_p < 1:
        stages.append(Stage("top_p", params.top_p))
    if params.min_p > 0:
        stages.append(Stage("min_p", params.min_p))
    return (*stages, Stage("temperature", params.temperature), Stage("seed", seed))


def build_changes(
    params: SamplingParams, *, prompt: tuple[int, ...], resumed_tokens: int, max_tokens: int
) -> list[Stage]:
    """Return what changes the logits first: as in vLLM, repetition counts the prompt too, the other two do not."""
    stages = [Stage("bias", pairs=params.logit_bias)] if params.logit_bias else []
    if params.repetition_penalty != 1:
        known = tuple(token for token in dict.fromkeys(prompt) if token >= 0)  # the rest stands for pictures
        penalties = (params.repetition_penalty, 0.0, 0.0)
        stages.append(Stage("penalties", len(known) + max_tokens, penalties=penalties, tokens=known))
    if params.frequency_penalty or params.presence_penalty:
        written = prompt[len(prompt) - resumed_tokens :]
        penalties = (1.0, params.frequency_penalty, params.presence_penalty)
        stages.append(Stage("penalties", len(written) + max_tokens, penalties=penalties, tokens=written))
    return stages


def measure_logprob(logits: NDArray[np.float32], token: int, *, top: int) -> TokenLogprob:
    """Return the model's own log probability of *token* and of the *top* likeliest, before any sampler."""
    peak = float(logits.max())
    norm = peak + float(np.log(np.exp(logits - peak, dtype=np.float64).sum()))
    best: tuple[tuple[int, float], ...] = ()
    if top:
        order = np.argpartition(logits, -top)[-top:]
        order = order[np.argsort(-logits[order], kind="stable")]
        best = tuple((int(index), float(logits[index]) - norm) for index in order)
    rank = int((logits > logits[token]).sum()) + 1
    return TokenLogprob(token, float(logits[token]) - norm, best, rank)
