"""How well a model foretells a text: pieces of 512 tokens, of which the second half is scored, as llama.cpp's own tool.

Knows no scheduler and no cache; one sequence, one context, computed anew for each piece.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.engine.llama.context import Context
from bot.engine.llama.model import Model
from bot.engine.machine.fit import choose_threads
from bot.engine.machine.hardware import count_usable_cores

PIECE = 512
LEAST_SCORED = 128


@dataclass(frozen=True, slots=True)
class Change:
    """How a model's scores differ from another's on the same tokens, as shares of the perplexity."""

    change: float
    error: float


def score_text(path: Path, text: str, *, report: Callable[[float], None]) -> list[float]:
    """Return the negative log-likelihood of each scored token; *ValueError* if the text is too short."""
    model = Model(path, n_gpu_layers=-1)
    piece = min(PIECE, model.n_ctx_train or PIECE)
    threads = choose_threads(model.size, cores=count_usable_cores())
    context = Context(model, n_cells=PIECE, n_slots=1, n_batch=PIECE, kv_unified=True, threads=threads)
    tokens = np.array(model.tokenize(text, add_special=False, parse_special=False), dtype=np.int32)
    pieces = [tokens[start : start + piece] for start in range(0, len(tokens) - piece + 1, piece)]
    if len(pieces) * (piece - piece // 2) < LEAST_SCORED:
        raise ValueError(f"The text has {len(tokens)} tokens, which is too few to compare models: take a longer one.")
    scores: list[float] = []
    for number, part in enumerate(pieces, start=1):
        first = [model.bos] if model.adds_bos else []
        scores += score_piece(context, np.array([*first, *part[: piece - len(first)]], dtype=np.int32))
        report(number / len(pieces))
    context.close()
    model.close()
    return scores


def score_piece(context: Context, tokens: NDArray[np.int32]) -> list[float]:
    """Return the scores of the second half of *tokens*, each foretold from all before it."""
    context.trim(0, 0)
    begin = len(tokens) // 2 - 1
    _decode(context, tokens[:begin], position=0, wanted=0)
    scores: list[float] = []
    for start in range(begin, len(tokens) - 1, context.max_outputs):
        part = tokens[start : min(start + context.max_outputs, len(tokens) - 1)]
        _decode(context, part, position=start, wanted=len(part))
        for index in range(len(part)):
            logits = context.logits(index).astype(np.float64)
            top = logits.max()
            scores.append(float(top + np.log(np.exp(logits - top).sum()) - logits[tokens[start + index + 1]]))
    return scores


def _decode(context: Context, tokens: NDArray[np.int32], *, position: int, wanted: int) -> None:
    if len(tokens) and context.decode([(0, tokens, position, wanted)]):
        raise ValueError("llama.cpp cannot decode the text with it.")


def count_perplexity(scores: list[float]) -> float:
    """Return the perplexity of scored tokens."""
    return exp(sum(scores) / len(scores))


def compare(base: list[float], other: list[float]) -> Change:
    """Return how much worse *other* foretells than *base*, token by token: surer than two numbers."""
    gaps = np.array(other) - np.array(base)
    mean = float(gaps.mean())
    return Change(exp(mean) - 1, exp(mean) * float(gaps.std(ddof=1)) / sqrt(len(gaps)))
