"""What is trained after what: answers, thumbs, pairs; and the contract with TRL that ids go in as they were served."""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bot.errors import LearningError
from bot.learning.examples import Example, Use
from bot.learning.plan import BASE_SCORES, CHECKPOINTS, PEFT_FOLDER, PROOF_TEXTS, STEPS, Outcome, Recipe
from bot.learning.proof.export import read_adapter
from bot.learning.proof.scores import save_scores
from bot.learning.training.adapter import attach_adapter
from bot.learning.training.base import score
from bot.learning.training.energy import Meter
from bot.learning.training.fine_tuning import SERVED_SCORES, read_rows, train
from bot.learning.training.phases import Ending, Phase, build_trainer, weigh_thumbs, within_memory
from bot.learning.training.rows import Rows
from bot.learning.training.sparing import sparing
from bot.learning.training.watching import Watch
from tests.learning.conftest import Files
from tests.learning.tiny_models import build_model
from tests.learning.training_folder import SMALL, fill_folder, make_answers, make_pairs, make_thumbs

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and TRL speak of what they would do with a model's folder
Night = Callable[..., Outcome | None]


@pytest.fixture
def night(tmp_path: Path, base_file: Files) -> Night:
    """Return a training in this process, from a folder filled as the bot does."""

    def spend(examples: Sequence[Example], recipe: Recipe = SMALL, folder: str = "run", **changes: Any) -> Any:
        path = tmp_path / folder
        plan = fill_folder(path, base_file("llama"), examples, recipe=recipe, **changes)
        return train(plan, Watch(path, plan.deadline, Meter()))

    return spend


@pytest.mark.parametrize(("preference", "make"), [("kto", make_thumbs), ("dpo", make_pairs)])
def test_preferences_go_on_in_the_same_adapter(tmp_path: Path, night: Night, preference: str, make: Any) -> None:
    """Answers come first and preferences after; what is left behind is one adapter, without TRL's reference."""
    answers = make_answers(10, every=0)
    recipe = replace(SMALL, preference=preference, epochs=1.0)

    outcome = night([*answers, *make(12)], recipe=recipe)

    assert outcome.is_done
    assert outcome.steps == 3 + 3
    _, before = read_adapter(tmp_path / "run" / CHECKPOINTS / "sft" / "learned")
    _, after = read_adapter(tmp_path / "run" / PEFT_FOLDER)
    assert before.keys() == after.keys()
    assert any((before[name].b != after[name].b).any() for name in before)
    assert not (tmp_path / "run" / PEFT_FOLDER / "ref").exists()


@pytest.mark.parametrize(
    ("name", "make", "columns"),
    [
        ("sft", make_answers, {"input_ids", "labels"}),
        ("kto", make_thumbs, {"prompt_ids", "completion_ids", "KL_completion_ids", "label"}),
        ("dpo", make_pairs, {"prompt_ids", "chosen_ids", "rejected_ids"}),
    ],
)
def test_trl_takes_the_ids_as_they_are(tmp_path: Path, name: str, make: Any, columns: set[str]) -> None:
    """No template and no tokenizer touches a row: what the collator builds is what was served, in every trainer."""
    rows = make(8)
    phase = Phase(name=name, rows=Rows(train=rows), rate=1e-3, epochs=1.0, batch=4, seed=1, folder=tmp_path, before=0)

    trainer = build_trainer(attach_adapter(build_model("llama"), SMALL, seed=1), phase, SMALL)
    batch = next(iter(trainer.get_train_dataloader()))

    assert set(trainer.train_dataset.column_names) == columns
    order = phase.order()[:4]
    served = [[*row.prompt_ids, *row.completion_ids] for row in order]
    read = [ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    assert read[:4] == served


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
@pytest.mark.parametrize(("name", "make"), [("sft", make_answers), ("kto", make_thumbs)])
def test_what_is_spared_changes_no_loss_and_no_gradient(tmp_path: Path, kind: str, name: str, make: Any) -> None:
    """Without a mask, and with logits at labels alone, padded rows give the same loss and gradients."""
    phase = Phase(name=name, rows=Rows(train=make(8)), rate=1e-3, epochs=1.0, batch=8, seed=1, folder=tmp_path)
    adapted = attach_adapter(build_model(kind), SMALL, seed=1)
    with torch.no_grad():
        for weight in adapted.parameters():
            weight.add_(0.01 if weight.requires_grad else 0.0)
    trainer = build_trainer(adapted, phase, SMALL)
    batch = next(iter(trainer.get_train_dataloader()))
    assert (batch["attention_mask"] == 0).any()

    found = []
    for block in (nullcontext(), sparing(adapted)):
        with block:
            loss = trainer.compute_loss(adapted, dict(batch))
        adapted.zero_grad()
        loss.backward()
        found.append((loss.detach(), [w.grad.clone() for w in adapted.parameters() if w.grad is not None]))

    (plain, slopes), (spared, spared_slopes) = found
    torch.testing.assert_close(spared, plain, rtol=1e-5, atol=1e-6)
    for slope, spared_slope in zip(slopes, spared_slopes, strict=True):
        torch.testing.assert_close(spared_slope, slope, rtol=1e-3, atol=1e-5)


def test_one_sided_thumbs_are_left_out_with_a_note(night: Night) -> None:
    """Thumbs of one kind teach nothing; the answers are trained all the same."""
    outcome = night([*make_answers(8, every=0), *make_thumbs(9, likes=8)], recipe=replace(SMALL, preference="kto"))

    assert outcome.is_done
    assert outcome.notes == ("No preferences were trained, because there are 8 likes and 1 dislikes.",)


def test_without_rows_nothing_is_trained(night: Night) -> None:
    """Nothing to learn from ends in words."""
    with pytest.raises(LearningError, match="nothing to learn from"):
        night([row for row in make_thumbs(4) if row.use is Use.SFT] or make_thumbs(4)[:1])


def test_a_base_that_is_not_the_served_one_is_not_trained(tmp_path: Path, base_file: Files) -> None:
    """P1 is judged before the first step: what the engine says of the texts must be what torch says."""
    plan = fill_folder(tmp_path, base_file("llama"), make_answers(4))
    texts = json.loads((tmp_path / PROOF_TEXTS).read_text())
    save_scores(tmp_path / SERVED_SCORES, score(build_model("llama", seed=8), texts))

    with pytest.raises(LearningError, match="Nothing was trained"):
        train(plan, Watch(tmp_path, 0.0, Meter()))

    assert (tmp_path / BASE_SCORES).exists()
    assert not (tmp_path / STEPS).exists()


def test_torn_examples_are_refused(tmp_path: Path) -> None:
    """A file that is not what the bot writes is named."""
    (tmp_path / "examples.jsonl").write_text('{"id": "e1", "prompt_ids": [1]\n')

    with pytest.raises(LearningError, match=r"examples.jsonl is not what was written there"):
        read_rows(tmp_path / "examples.jsonl", longest=512)


def test_another_base_than_the_plans_is_refused(tmp_path: Path, base_file: Files) -> None:
    """Data that were made for another file are not trained on."""
    plan = fill_folder(tmp_path, base_file("llama"), make_answers(4))

    with pytest.raises(LearningError, match="no longer the file"):
        train(replace(plan, base_sha256="0" * 64), Watch(tmp_path, 0.0, Meter()))


def test_thumbs_are_balanced() -> None:
    """All likes together weigh 1.15 times all dislikes, within what KTO's paper asks for."""
    for likes, dislikes in [(10, 30), (30, 10), (20, 20)]:
        weights = weigh_thumbs([True] * likes + [False] * dislikes)

        ratio = weights["desirable_weight"] * likes / (weights["undesirable_weight"] * dislikes)
        assert 1 <= ratio <= 4 / 3


def test_a_small_memory_halves_the_batch(tmp_path: Path) -> None:
    """Half the rows at once and twice as many times accumulated, from the same start, three times at most."""
    model = attach_adapter(build_model("llama"), SMALL, seed=1)
    start = {name: weight.clone() for name, weight in model.named_parameters()}
    phase = Phase(name="sft", rows=Rows(), rate=1e-3, epochs=1.0, batch=8, seed=1, folder=tmp_path)
    tried = []

    def attempt(smaller: Phase) -> Ending:
        tried.append(smaller.at_once)
        assert all((weight == start[name]).all() for name, weight in model.named_parameters())
        with torch.no_grad():
            next(weight for weight in model.parameters() if weight.requires_grad).add_(1.0)
        if smaller.at_once > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Ending("end", 1, None)

    _, smaller = within_memory(model, phase, attempt, halvings=3)

    assert tried == [8, 4, 2]
    assert smaller.at_once == 2


def test_a_search_keeps_the_best_of_what_it_tried(night: Night) -> None:
    """The plan's own recipe is tried first, the best by validation loss is trained, and all are told."""
    hopeless = replace(SMALL, sft_rate=1e-7, search=2)

    outcome = night(make_answers(10), recipe=hopeless)

    assert len(outcome.notes) == 3
    assert outcome.notes[0].startswith("Tried rate 1.0e-07, rank 4")
    best = min(outcome.notes, key=lambda note: float(note.split()[-1].rstrip(".")))
    assert f"rate {outcome.recipe.sft_rate:.1e}, rank {outcome.recipe.rank}," in best
    assert outcome.steps == 4
