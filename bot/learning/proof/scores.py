"""What a model thinks of given tokens, kept small: each token's own log probability and the likeliest in its place.

Two models are compared over the tokens that both name, with everything else as one more. That is exact for the tokens'
own log probabilities and first choices; the divergence is a lower bound of the full one, because the order among the
unlikely tokens is not seen. The engine's API names 20 tokens; no vocabulary's whole distribution crosses a process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.learning.atomic import reading, replacing

KEPT = 64  # more than the engine names, so that its 20 are nearly always among them
LEAST = 1e-12
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scores:
    """One text's scores: row *i* is about the token after the first *i + 1*."""

    tokens: tuple[int, ...]
    given: Floats
    top_ids: NDArray[np.int64]
    top: Floats

    def known(self, row: int) -> dict[int, float]:
        """Return every log probability that is known at a place."""
        likely = dict(zip(self.top_ids[row].tolist(), self.top[row].tolist(), strict=True))
        return likely | {self.tokens[row + 1]: float(self.given[row])}

    @property
    def first_choices(self) -> NDArray[np.int64]:
        """The likeliest token at each place."""
        first: NDArray[np.int64] = self.top_ids[:, 0]
        return first


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two models score the same texts; *divergence* is in nats a token."""

    divergence: float
    same_choice: float
    largest_gap: float
    places: int


def compare(left: Sequence[Scores], right: Sequence[Scores]) -> Agreement:
    """Return how alike two models score; the divergence is of *right* from *left*."""
    divergences = measure_divergence(left, right, shared_with=())
    choices = [a.first_choices == b.first_choices for a, b in zip(left, right, strict=True)]
    gaps = [float(np.abs(a.given - b.given).max()) for a, b in zip(left, right, strict=True)]
    return Agreement(
        divergence=float(np.mean(divergences)),
        same_choice=float(np.concatenate(choices).mean()),
        largest_gap=max(gaps),
        places=len(divergences),
    )


def measure_divergence(
    left: Sequence[Scores], right: Sequence[Scores], *, shared_with: Sequence[Sequence[Scores]]
) -> list[float]:
    """Return KL(left ‖ right) at each place, over the tokens that these and all of *shared_with* name."""
    found = []
    for texts in zip(left, right, *shared_with, strict=True):
        if len({text.tokens for text in texts}) != 1:
            raise ValueError("scores of different texts cannot be compared")
        for row in range(len(texts[0].given)):
            named = [text.known(row) for text in texts]
            common = set.intersection(*(set(tokens) for tokens in named))
            p, q = (_spread(tokens, common) for tokens in named[:2])
            found.append(float((p * np.log(p / q)).sum()))
    return found


def _spread(named: dict[int, float], common: set[int]) -> NDArray[np.float64]:
    """Return the probabilities of the common tokens, and last of all others together."""
    likely = np.exp([named[token] for token in sorted(common)])
    spread: NDArray[np.float64] = np.maximum(np.append(likely, 1 - likely.sum()), LEAST)
    return spread


def save_scores(path: Path, scored: Sequence[Scores]) -> None:
    """Write scores as one file, complete or not at all."""
    arrays = {
        f"{name}{number}": np.asarray(getattr(text, name))
        for number, text in enumerate(scored)
        for name in ("tokens", "given", "top_ids", "top")
    }
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_scores(path: Path) -> list[Scores]:
    """Return what *save_scores* wrote."""
    with reading(path), path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return [
            Scores(
                tuple(file[f"tokens{number}"].tolist()),
                file[f"given{number}"],
                file[f"top_ids{number}"],
                file[f"top{number}"],
            )
            for number in range(len(file.files) // 4)
        ]
