"""The proof that what is served equals what was trained, in words: base, adapter, first choices, and no trace after.

Pure: judges scores that others have taken. Limits are those of `docs/learning.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bot.engine.files.gguf_header import Header
from bot.learning.proof.scores import Agreement, Scores, compare, measure_divergence

EXACT, ROUNDED = 1e-4, 1e-2  # nats a token: a file of floats, a file of quantized weights
EXACT_CHOICE, ROUNDED_CHOICE = 0.99, 0.80
TIES = 0.02  # of quantized first choices, rounding decides one way with the adapter and another without
EFFECT = (0.9, 1.1)
AUDIBLE = 10.0  # an effect this many times what the bases differ by can be compared in size
PLAIN_KINDS = {"f32", "f16", "bf16", "f64"}


@dataclass(frozen=True, slots=True)
class Check:
    """One proof: whether it holds, in a sentence with its figures."""

    name: str
    holds: bool
    sentence: str


def is_quantized(base: Header) -> bool:
    """Whether the served file's matrices are rounded to blocks, which llama.cpp computes with in its own way."""
    return any(tensor.kind not in PLAIN_KINDS for tensor in base.tensors)


def judge_base(served: Sequence[Scores], trained: Sequence[Scores], *, base: Header) -> Check:
    """P1: the model that is to be trained computes what the served one computes; otherwise no step is worth it."""
    limit, choice = (ROUNDED, ROUNDED_CHOICE) if is_quantized(base) else (EXACT, EXACT_CHOICE)
    found = compare(served, trained)
    holds = found.divergence <= limit and found.same_choice >= choice
    sentence = f"The served base and the one to train differ by {_say(found)}"
    if holds:
        return Check("P1 base", holds=True, sentence=f"{sentence}.")
    return Check(
        "P1 base",
        holds=False,
        sentence=f"{sentence}; at most {limit:g} nats and at least {choice:.0%} are needed. Its RoPE scaling or head "
        "size may be lost on the way, or TRAINING_BASE is another model: set TRAINING_BASE to the right one.",
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """The same texts scored four times: by engine and by torch, without the adapter and with it."""

    served_base: Sequence[Scores]
    trained_base: Sequence[Scores]
    served: Sequence[Scores]
    trained: Sequence[Scores]

    def effects(self) -> tuple[float, float]:
        """Return how far the adapter moves the served and the trained model, over the tokens that all four name."""
        everything = (self.served_base, self.trained_base, self.served, self.trained)
        served = measure_divergence(self.served_base, self.served, shared_with=everything)
        trained = measure_divergence(self.trained_base, self.trained, shared_with=everything)
        return float(np.mean(served)), float(np.mean(trained))


def judge_adapter(measured: Measured) -> list[Check]:
    """P2 and P3: the served adapter computes what the trained one does, moves the base as far, and chooses alike."""
    base = compare(measured.served_base, measured.trained_base)
    found = compare(measured.served, measured.trained)
    limit = max(EXACT, 2 * base.divergence)
    served, trained = measured.effects()
    needed = EXACT_CHOICE if base.same_choice >= EXACT_CHOICE else base.same_choice - TIES
    is_audible = trained >= AUDIBLE * base.divergence
    ratio = served / trained if is_audible else 1.0
    effect = f"its effect is {ratio:.3f} of the trained one" if is_audible else "its effect is too small to compare"
    return [
        Check(
            "P2 adapter",
            holds=found.divergence <= limit and EFFECT[0] <= ratio <= EFFECT[1],
            sentence=f"The served adapter and the trained one differ by {_say(found)} (at most {limit:.1e}), and "
            f"{effect} (between {EFFECT[0]} and {EFFECT[1]}).",
        ),
        Check(
            "P3 choices",
            holds=found.same_choice >= needed,
            sentence=f"Served and trained adapter choose the same first token at {found.same_choice:.2%} of "
            f"{found.places} places (at least {needed:.2%}).",
        ),
    ]


def judge_trace(before: Sequence[Scores], after: Sequence[Scores]) -> Check:
    """P6: without the adapter the engine computes bit by bit what it computed before it."""
    is_same = all(
        np.array_equal(left.given, right.given) and np.array_equal(left.top, right.top)
        for left, right in zip(before, after, strict=True)
    )
    word = "exactly what it did before" if is_same else "something else than before, so the adapter left a trace"
    return Check("P6 trace", holds=is_same, sentence=f"With the adapter gone, the base computes {word}.")


def _say(found: Agreement) -> str:
    return f"{found.divergence:.1e} nats a token and agree on {found.same_choice:.2%} of {found.places} first choices"
