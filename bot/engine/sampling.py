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
    """One sampler of a chain and its only number."""

    kind: Literal["top_k", "top_p", "min_p", "temperature", "seed", "greedy"]
    value: float = 0.0


def build_stages(params: SamplingParams) -> tuple[Stage, ...]:
    """Return the chain for *params*; top_k comes first, because sorting a whole vocabulary costs milliseconds."""
    if params.temperature <= 0:
        return (Stage("top_k", 1), Stage("greedy"))
    seed = secrets.randbelow(MAX_SEED) if params.seed is None else params.seed % MAX_SEED
    stages = [Stage("top_k", params.top_k)] if params.top_k > 0 else []
    if params.top_p < 1:
        stages.append(Stage("top_p", params.top_p))
    if params.min_p > 0:
        stages.append(Stage("min_p", params.min_p))
    return (*stages, Stage("temperature", params.temperature), Stage("seed", seed))


def measure_logprob(logits: NDArray[np.float32], token: int, *, top: int) -> TokenLogprob:
    """Return the model's own log probability of *token* and of the *top* likeliest, before any sampler."""
    peak = float(logits.max())
    norm = peak + float(np.log(np.exp(logits - peak, dtype=np.float64).sum()))
    best: tuple[tuple[int, float], ...] = ()
    if top:
        order = np.argpartition(logits, -top)[-top:]
        order = order[np.argsort(-logits[order], kind="stable")]
        best = tuple((int(index), float(logits[index]) - norm) for index in order)
    return TokenLogprob(token, float(logits[token]) - norm, best)
