"""The proof that what is served equals what was trained, in words: base, adapter, first choices, and no trace after.

Pure: judges scores that others have taken. Limits are those of `docs/learning.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bot.engine.files.gguf_header import Header
from bot.language import N_
from bot.learning import sentences
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
    sentence = sentences.BASES_DIFFER if holds else sentences.BASES_DIFFER_TOO_MUCH
    said = sentence.format(agreement=_say(found), limit=limit, choice=choice)
    return Check("P1 base", holds=holds, sentence=said)


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
    too_small = N_("its effect is too small to compare")
    effect = sentences.EFFECT.format(ratio=ratio) if is_audible else too_small
    return [
        Check(
            "P2 adapter",
            holds=found.divergence <= limit and EFFECT[0] <= ratio <= EFFECT[1],
            sentence=sentences.ADAPTERS_DIFFER.format(
                agreement=_say(found), limit=limit, effect=effect, least=EFFECT[0], most=EFFECT[1]
            ),
        ),
        Check(
            "P3 choices",
            holds=found.same_choice >= needed,
            sentence=sentences.SAME_CHOICES.format(same=found.same_choice, places=found.places, least=needed),
        ),
    ]


def judge_trace(before: Sequence[Scores], after: Sequence[Scores]) -> Check:
    """P6: without the adapter the engine computes bit by bit what it computed before it."""
    is_same = all(
        np.array_equal(left.given, right.given) and np.array_equal(left.top, right.top)
        for left, right in zip(before, after, strict=True)
    )
    if is_same:
        sentence = N_("With the adapter gone, the base computes exactly what it did before.")
    else:
        sentence = N_("With the adapter gone, the base computes something else than before: the adapter left a trace.")
    return Check("P6 trace", holds=is_same, sentence=sentence)


def _say(found: Agreement) -> str:
    return sentences.ALIKE.format(nats=found.divergence, same=found.same_choice, places=found.places)
