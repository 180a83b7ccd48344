"""How alike two models are: exact on what both name, never more than the truth on the rest."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import LearningError
from bot.learning.proof.scores import Scores, compare, load_scores, measure_divergence, save_scores

TEXT = (3, 1, 4, 1, 5)


def build_scores(logits: torch.Tensor, kept: int) -> Scores:
    """Return the scores of one text, of which the *kept* likeliest tokens are named."""
    logprobs = logits.double().log_softmax(-1)
    best = logprobs.topk(kept)
    told = logprobs.gather(1, torch.tensor(TEXT[1:])[:, None])[:, 0]
    return Scores(TEXT, told.numpy(), best.indices.numpy(), best.values.numpy())


def draw_logits(seed: int, nearness: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two distributions over 90 tokens for each place, the second beside the first."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(len(TEXT) - 1, 90, generator=generator) * 2
    return left, left + torch.randn(left.shape, generator=generator) * nearness


@given(seed=st.integers(0, 2**31), nearness=st.sampled_from([1e-3, 0.1, 1.0]), kept=st.integers(1, 90))
@settings(max_examples=40, deadline=None)
def test_the_divergence_is_a_lower_bound(seed: int, nearness: float, kept: int) -> None:
    """Naming fewer tokens never makes two models look further apart, and naming all gives the true divergence."""
    left, right = draw_logits(seed, nearness)
    true = float(
        (left.double().softmax(-1) * (left.double().log_softmax(-1) - right.double().log_softmax(-1))).sum(-1).mean()
    )

    found = compare([build_scores(left, kept)], [build_scores(right, 90)]).divergence

    assert -1e-9 <= found <= true * (1 + 1e-6) + 1e-9
    whole = compare([build_scores(left, 90)], [build_scores(right, 90)]).divergence
    assert whole == pytest.approx(true, rel=1e-6, abs=1e-9)


def test_a_model_agrees_with_itself() -> None:
    """Nothing differs from itself, however little is named."""
    scores = build_scores(draw_logits(1, 0.0)[0], 5)

    agreement = compare([scores], [scores])

    assert (agreement.divergence, agreement.same_choice, agreement.largest_gap, agreement.places) == (0, 1, 0, 4)


def test_other_first_choices_are_counted() -> None:
    """One of four places where the likeliest token is another one."""
    left, right = draw_logits(2, 0.0)
    right = right.clone()
    right[0, 7] = 50

    assert compare([build_scores(left, 5)], [build_scores(right, 5)]).same_choice == 0.75


def test_scores_of_different_texts_are_no_comparison() -> None:
    """A mistake of the caller is not a figure."""
    scores = build_scores(draw_logits(1, 0.0)[0], 5)
    other = Scores((3, 1, 4, 1, 6), scores.given, scores.top_ids, scores.top)

    with pytest.raises(ValueError, match="different texts"):
        measure_divergence([scores], [other], shared_with=())


def test_scores_cross_processes_as_a_file(tmp_path: Path) -> None:
    """What one process writes, the other reads, whole or not at all."""
    written = [build_scores(logits, 20) for logits in draw_logits(3, 0.5)]

    save_scores(tmp_path / "run" / "scores.npz", written)

    for before, after in zip(written, load_scores(tmp_path / "run" / "scores.npz"), strict=True):
        assert before.tokens == after.tokens
        for name in ("given", "top_ids", "top"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["scores.npz"]
    (tmp_path / "file").write_text("")
    with pytest.raises(LearningError, match="cannot be written"):
        save_scores(tmp_path / "file" / "scores.npz", written)
