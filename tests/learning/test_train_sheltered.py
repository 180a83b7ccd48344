"""Sheltered LoRA and soft rehearsal: what they compute, and that they keep what the base knew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bot.learning.examples import Example, Source, Split
from bot.learning.plan import PEFT_FOLDER
from bot.learning.proof.adapter_file import MOST_CHANGE
from bot.learning.training.adapter import attach_adapter
from bot.learning.training.energy import Meter
from bot.learning.training.fine_tuning import linear_modules, train
from bot.learning.training.phases import Phase, build_trainer
from bot.learning.training.rows import Rows
from bot.learning.training.sheltering import (
    NEAR,
    ShelteredAdamW,
    find_turns,
    measure_inputs,
    measure_shelter,
    shelter_adapter,
    whiten,
)
from bot.learning.training.sparing import sparing
from bot.learning.training.watching import Watch
from tests.learning.conftest import Files
from tests.learning.tiny_models import build_model
from tests.learning.training_folder import (
    SHELTERED,
    SMALL,
    fill_folder,
    make_answers,
    make_pairs,
    make_rehearsal,
    make_thumbs,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and TRL speak of what they would do with a model's folder
STRENGTH = 0.01


def test_the_inputs_of_each_matrix_are_summed_up_as_numpy_does() -> None:
    """Sums over all tokens of all texts, counted once for matrices that are given the same."""
    model = build_model("llama")
    given: dict[str, list[Any]] = {}
    names = linear_modules(model)
    texts = [[5, 6, 7, 8], [9, 10, 11, 12]]

    inputs = measure_inputs(model, texts, names)

    for name in names:
        model.get_submodule(name).register_forward_pre_hook(
            lambda _module, args, name=name: given.setdefault(name, []).append(args[0][0].numpy().astype(np.float64))
        )
    with torch.no_grad():
        for text in texts:
            model(input_ids=torch.tensor([text]))
    assert inputs.tokens == 8
    assert len(inputs.sums) == 4 * 2  # q, k and v share theirs, as gate and up do
    for name in names:
        rows = np.concatenate(given[name])
        np.testing.assert_allclose(inputs.sums[inputs.leaders[name]].numpy(), rows.T @ rows, rtol=1e-5, atol=1e-5)


def test_text_is_white_in_the_sheltered_coordinates() -> None:
    """M C M is one number times unity where ordinary text is loud, and M is symmetric, of rms 1."""
    rng = np.random.default_rng(1)
    loud = rng.normal(size=(500, 24)) * np.geomspace(1, 30, 24)
    covariance = torch.tensor(loud.T @ loud / 500)

    turn = whiten(covariance, strength=1e-9).double()

    white = turn @ covariance @ turn
    torch.testing.assert_close(white / white.diagonal().mean(), torch.eye(24).double(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(turn, turn.T)
    assert torch.linalg.eigvalsh(turn).square().mean().item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_its_steps_are_those_of_p(decay: float) -> None:
    """Training PEFT's A with the optimizer is training P with A = P M, clipping and decay included."""
    model = build_model("llama")
    names = linear_modules(model)
    shelter, reason = measure_shelter(model, make_rehearsal(30), names, strength=STRENGTH)
    assert not reason
    adapted = attach_adapter(model, SMALL, seed=1)
    starts = {name: weight.detach().clone() for name, weight in adapted.named_parameters() if weight.requires_grad}
    shelter_adapter(adapted, shelter)
    weights = {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}
    turns = find_turns(adapted, shelter)
    own = {name: torch.nn.Parameter(start) for name, start in starts.items()}
    ours = ShelteredAdamW(adapted, shelter, rate=1e-2, decay=decay)
    theirs = torch.optim.AdamW(own.values(), lr=1e-2, weight_decay=decay)
    ids = torch.randint(10, 200, (4, 20), generator=torch.Generator().manual_seed(1))

    for _ in range(6):
        built = {name: own[name] @ turns[weight] if weight in turns else own[name] for name, weight in weights.items()}
        for parameters, call, optimizer in (
            (weights.values(), lambda: adapted(input_ids=ids, labels=ids), ours),
            (
                own.values(),
                lambda built=built: torch.func.functional_call(adapted, built, (), {"input_ids": ids, "labels": ids}),
                theirs,
            ),
        ):
            optimizer.zero_grad()
            call().loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    assert len(turns) == len(names)
    for name, weight in weights.items():
        wanted = own[name] @ turns[weight] if weight in turns else own[name]
        torch.testing.assert_close(weight, wanted, rtol=1e-3, atol=1e-5)


def test_no_weight_is_changed_further_than_the_proof_allows() -> None:
    """However high the rate, each change stays within P5's share of the weight's own size."""
    model = build_model("llama")
    names = linear_modules(model)
    shelter, _ = measure_shelter(model, make_rehearsal(30), names, strength=STRENGTH)
    adapted = attach_adapter(model, SMALL, seed=1, shelter=shelter)
    optimizer = ShelteredAdamW(adapted, shelter, rate=0.1, decay=0.0)
    ids = torch.randint(10, 200, (4, 20), generator=torch.Generator().manual_seed(1))

    for _ in range(10):
        optimizer.zero_grad()
        adapted(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()

    layers = [adapted.get_base_model().get_submodule(name) for name in names]
    changes = [(layer.get_delta_weight("default").norm() / layer.weight.norm()).item() for layer in layers]
    assert max(changes) == pytest.approx(NEAR * MOST_CHANGE, rel=1e-4)


def learn(*, is_sheltered: bool) -> tuple[float, float]:
    """Return the loss on new rows, and how far the base's answers to ordinary ones moved, after a short training."""
    model = build_model("llama")
    rng = np.random.default_rng(3)
    ordinary = [rng.integers(10, 60, 24).tolist() for _ in range(60)]  # one corner of the vocabulary
    new = torch.tensor(rng.integers(150, 200, (8, 12)))
    held = torch.tensor(ordinary[50:])
    names = linear_modules(model)
    inputs = measure_inputs(model, ordinary[:50], names)
    turns = {name: whiten(total / inputs.tokens, strength=STRENGTH) for name, total in inputs.sums.items()}
    shelter = {name: turns[inputs.leaders[name]] for name in names} if is_sheltered else {}
    with torch.no_grad():
        before = model(input_ids=held).logits.log_softmax(-1)
    adapted = attach_adapter(model, SMALL, seed=1, shelter=shelter)
    optimizer = ShelteredAdamW(adapted, shelter, rate=2e-3, decay=0.0)
    loss = torch.tensor(10.0)
    while loss.item() > 2.0:
        loss = adapted(input_ids=new, labels=new).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        after = adapted(input_ids=held).logits.log_softmax(-1)
    return loss.item(), (before.exp() * (before - after)).sum(-1).mean().item()


def test_what_the_base_knew_moves_less_for_the_same_lesson() -> None:
    """At one loss on new rows, a sheltered adapter changes what is said to ordinary ones at most half as much."""
    (plain_loss, plain), (loss, sheltered) = learn(is_sheltered=False), learn(is_sheltered=True)

    assert loss == pytest.approx(plain_loss, abs=0.2)
    assert sheltered < plain / 2


def test_without_rehearsal_nothing_is_sheltered() -> None:
    """Too few tokens say nothing about ordinary text, and the reason is told."""
    model = build_model("llama")

    shelter, reason = measure_shelter(model, make_rehearsal(2), linear_modules(model), strength=STRENGTH)

    assert shelter == {}
    assert reason.startswith("Nothing was sheltered: rehearsal has")


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_soft_rehearsal_is_the_divergence_of_rehearsal_rows_alone(tmp_path: Path, kind: str) -> None:
    """The loss is the other rows' cross entropy and the rehearsal's KL, summed over its tokens, by all labels."""
    rows = [*make_answers(5, every=0), *make_rehearsal(3)]
    phase = Phase(name="sft", rows=Rows(train=rows), rate=1e-3, epochs=1.0, batch=8, seed=1, folder=tmp_path)
    adapted = attach_adapter(build_model(kind), SMALL, seed=1)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in adapted.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(0.05 * noise if weight.requires_grad else torch.zeros(()))
    trainer = build_trainer(adapted, phase, SHELTERED)
    batch = next(iter(trainer.get_train_dataloader()))

    with sparing(adapted):
        loss = trainer.compute_loss(adapted, dict(batch))
        loss.backward()
    slopes = [weight.grad.clone() for weight in adapted.parameters() if weight.grad is not None]
    adapted.zero_grad()
    total, labels = torch.zeros(()), 0
    for row in rows:
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        logs = adapted(input_ids=ids).logits[0, :-1].log_softmax(-1)
        labels += len(row.completion_ids)
        if row.source is Source.REHEARSAL:
            with torch.no_grad(), adapted.disable_adapter():
                goal = adapted(input_ids=ids).logits[0, :-1].log_softmax(-1)
            total = total + (goal.exp() * (goal - logs)).sum()
        else:
            total = total - logs.gather(1, ids[0, 1:, None])[len(row.prompt_ids) - 1 :].sum()
    wanted = total / labels
    wanted.backward()

    assert int(batch["is_rehearsal"].sum()) == 3
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-5)
    own = [weight.grad for weight in adapted.parameters() if weight.grad is not None]
    for slope, wanted_slope in zip(slopes, own, strict=True):
        torch.testing.assert_close(slope, wanted_slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("preference", "make"), [("kto", make_thumbs), ("dpo", make_pairs)])
def test_a_night_is_sheltered_in_all_its_phases(
    tmp_path: Path, base_file: Files, preference: str, make: Callable[[int], list[Example]]
) -> None:
    """Answers and preferences are trained with shelter and soft rehearsal, and what is left is a plain adapter."""
    rows = [*make_answers(8, every=0), *make_rehearsal(20), *make(12)]
    held_out = [replace(row, id=f"h{row.id}", split=Split.VALIDATION) for row in make_rehearsal(4, seed=11)]
    recipe = replace(SHELTERED, preference=preference, epochs=1.0)
    plan = fill_folder(tmp_path, base_file("llama"), [*rows, *held_out], recipe=recipe)

    outcome = train(plan, Watch(tmp_path, 0.0, Meter()))

    assert outcome
    assert (outcome.is_done, outcome.notes) == (True, ())
    assert outcome.validation_loss is not None
    assert (tmp_path / PEFT_FOLDER / "adapter_model.safetensors").exists()
