"""TRL's trainers as they are set up here: ids in, no template, no tokenizer; our order, our watch, their training."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
import trl
from datasets import Dataset  # type: ignore[import-untyped]

from bot.learning.examples import Example
from bot.learning.plan import Recipe
from bot.learning.training.likely import SAID_ONCE
from bot.learning.training.order import plan_mixed, plan_order
from bot.learning.training.rows import Row, Rows, build_answer, build_marked, build_pair, build_thumbs, measure
from bot.learning.training.sheltering import ShelteredAdamW
from bot.learning.training.soft_rehearsal import SoftSFT
from bot.learning.training.sparing import sparing
from bot.learning.training.watching import StepWatcher, Watch

PADDING = 0  # the id that rows are filled up with, under the mask
EVALUATIONS = 2  # an epoch
FEWEST = 10  # steps between two evaluations, which are checkpoints too
BALANCE = 1.15  # within KTO's [1, 4/3] for how much all likes together outweigh all dislikes
SFT_SHARE = 0.2  # of the likelihood of chosen answers in DPO, which would fall otherwise


class ServedKTO(trl.KTOTrainer):  # type: ignore[misc]
    """KTO on the token ids that were served."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


class ServedDPO(trl.DPOTrainer):  # type: ignore[misc]
    """DPO on the token ids that were served."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One of a training's phases: its name, rows, rate and length, and how many rows make a step."""

    name: str
    rows: Rows
    rate: float
    epochs: float
    batch: int
    seed: int
    folder: Path
    before: int = 0  # steps of earlier phases
    shelter: Mapping[str, torch.Tensor] = field(default_factory=dict)  # of each sheltered module; empty: plain LoRA
    unlearned: Mapping[str, frozenset[int]] = field(default_factory=dict)  # places in answers, by the row's id
    halvings: int = 0  # how often memory was too small for the batch

    @property
    def at_once(self) -> int:
        """How many rows the machine takes at once; with the accumulated ones they make the same batch."""
        return max(2 if self.name == "kto" else 1, self.batch >> self.halvings)

    def order(self) -> list[Example]:
        """Return the rows as they come, step after step."""
        rows = self.rows.train
        weights = [weigh(example, epochs=self.epochs) if self.name == "sft" else example.weight for example in rows]
        if self.name == "kto":
            labels = [bool(example.is_liked) for example in rows]
            numbers = plan_mixed(labels, weights, epochs=self.epochs, seed=self.seed)
        else:
            lengths = [measure(example) for example in rows]
            early = [number for number, example in enumerate(rows) if example.source in SAID_ONCE]
            numbers = plan_order(lengths, weights, epochs=self.epochs, batch=self.batch, seed=self.seed, early=early)
        return [rows[number] for number in numbers]

    def count_steps(self) -> int:
        """Return how many steps it takes."""
        return ceil(len(self.order()) / self.batch)


def weigh(example: Example, *, epochs: float) -> float:
    """Return how often an epoch shows an example; what one row alone says, it is shown once in a whole training.

    Nothing said once is to be remembered word by word: what is to be known stands in many wordings, each a row.
    """
    return min(example.weight, 1 / epochs) if example.source in SAID_ONCE else example.weight


@dataclass(frozen=True, slots=True)
class Ending:
    """How a phase ended: `end`, `early`, `deadline` or `stopped`, at which step, and the best validation loss."""

    ended_by: str
    steps: int
    validation_loss: float | None


def build_padding() -> Any:
    """Return the tokenizer TRL insists on; this one only says with which id rows are filled up under the mask."""
    word = "pad"
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: PADDING}, unk_token=word))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token=word, eos_token=word)


def build_arguments(phase: Phase, recipe: Recipe, *, steps: int) -> dict[str, Any]:
    """Return what TRL's configurations share."""
    is_cuda = torch.cuda.is_available()
    per_epoch = max(1, ceil(steps / max(1.0, phase.epochs)))
    often = min(max(FEWEST, per_epoch // EVALUATIONS), max(1, steps // 2))
    has_validation = bool(phase.rows.validation)
    return {
        "output_dir": str(phase.folder),
        "per_device_train_batch_size": phase.at_once,
        "gradient_accumulation_steps": max(1, phase.batch // phase.at_once),
        "per_device_eval_batch_size": max(2, phase.at_once),
        "num_train_epochs": 1,  # the order holds them all
        "train_sampling_strategy": "sequential",
        "learning_rate": phase.rate,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": ceil(recipe.warmup * steps),
        "weight_decay": recipe.weight_decay,
        "max_length": None,  # longer rows were left out whole
        "seed": phase.seed,
        "use_cpu": not is_cuda,
        "bf16": is_cuda,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": is_cuda,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would hide what the watch looks for
        "eval_strategy": "steps" if has_validation else "no",
        "eval_steps": often,
        "save_strategy": "steps",
        "save_steps": often,
        "save_total_limit": 2,
        "load_best_model_at_end": has_validation,
        "metric_for_best_model": "eval_loss" if has_validation else None,
        "restore_callback_states_from_checkpoint": True,
        "disable_tqdm": True,  # the watch has a bar of its own
        "report_to": ["mlflow"] if os.environ.get("MLFLOW_TRACKING_URI") and find_spec("mlflow") else [],
    }


def build_trainer(model: Any, phase: Phase, recipe: Recipe) -> Any:
    """Return TRL's trainer for a phase of *model*, an adapter over its base."""
    rows = phase.order()
    values = build_arguments(phase, recipe, steps=ceil(len(rows) / phase.batch))
    held_out = sorted(phase.rows.validation, key=measure)  # less padding
    build = _choose_build(phase, recipe)
    common: dict[str, Any] = {
        "model": model,
        "processing_class": build_padding(),
        "train_dataset": _build(build, rows),
        "eval_dataset": _build(build, held_out),
    }
    if phase.shelter:
        adam = ShelteredAdamW(model, phase.shelter, rate=phase.rate, decay=recipe.weight_decay)
        common["optimizers"] = (adam, None)
    if phase.name == "kto":
        balance = weigh_thumbs([bool(example.is_liked) for example in rows])
        return ServedKTO(args=trl.KTOConfig(**values, beta=recipe.beta, **balance), **common)
    if phase.name == "dpo":
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, SFT_SHARE]}
        return ServedDPO(args=trl.DPOConfig(**values, beta=recipe.beta, **losses), **common)
    arguments = trl.SFTConfig(**values, dataset_kwargs={"skip_prepare_dataset": True})
    if recipe.soft_rehearsal:
        return SoftSFT(softness=recipe.soft_rehearsal, padding=PADDING, args=arguments, **common)
    return trl.SFTTrainer(args=arguments, **common)


def _choose_build(phase: Phase, recipe: Recipe) -> Callable[[Sequence[Example]], list[Row]]:
    if phase.name == "kto":
        return partial(build_thumbs, batch=phase.at_once)
    if phase.name == "dpo":
        return lambda examples: [build_pair(example) for example in examples]
    build = build_marked if recipe.soft_rehearsal else build_answer
    return lambda examples: [build(example, phase.unlearned.get(example.id, ())) for example in examples]


def _build(build: Callable[[Sequence[Example]], list[Row]], examples: Sequence[Example]) -> Dataset | None:
    return Dataset.from_list(build(examples)) if examples else None


def weigh_thumbs(labels: Sequence[bool]) -> dict[str, float]:
    """Return KTO's weights that let the likes together weigh a little more than the dislikes (its equation 8)."""
    likes = sum(labels)
    ratio = (len(labels) - likes) * BALANCE / likes
    return {"desirable_weight": max(1.0, ratio), "undesirable_weight": max(1.0, 1 / ratio)}


def run_phase(model: Any, phase: Phase, recipe: Recipe, watch: Watch) -> Ending:
    """Train one phase to its end, from its newest checkpoint where there is one."""
    trainer = build_trainer(model, phase, recipe)
    trainer.remove_callback(transformers.PrinterCallback)
    found = find_checkpoint(phase.folder)
    watch.journal.keep(until=phase.before + (checkpoint_step(found) if found else 0))
    trainer.add_callback(StepWatcher(watch, phase=phase.name, before=phase.before))
    trainer.args.eval_on_start = bool(phase.rows.validation) and found is None
    if phase.rows.validation:
        trainer.add_callback(transformers.EarlyStoppingCallback(early_stopping_patience=recipe.patience))
    with sparing(model):
        trainer.train(resume_from_checkpoint=str(found) if found else None)
    state = trainer.state
    is_cut = state.global_step < state.max_steps
    way = "stopped" if watch.is_stopped else "deadline" if watch.is_late else "early"
    return Ending(way if is_cut else "end", state.global_step, state.best_metric)


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint; a kill or a full disk may have torn one."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if _is_whole(path)]
    return max(whole, key=checkpoint_step, default=None)


def _is_whole(state: Path) -> bool:
    """Whether a checkpoint was written to its end; its state is what comes last."""
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def checkpoint_step(folder: Path) -> int:
    """Return the step at which a checkpoint was taken."""
    return int(folder.name.split("-")[1])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was too small; torch has no type of its own for the processor's."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def within_memory(model: Any, phase: Phase, run: Callable[[Phase], Ending], *, halvings: int) -> tuple[Ending, Phase]:
    """Run a phase; where memory is too small, again with half the rows at once and twice as often accumulated."""
    start = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    while True:
        try:
            return run(phase), phase
        except (MemoryError, RuntimeError) as error:
            smaller = replace(phase, halvings=phase.halvings + 1)
            if not is_out_of_memory(error) or phase.halvings >= halvings or smaller.at_once == phase.at_once:
                raise
            phase = smaller
        with torch.no_grad():
            for name, weight in start.items():
                model.get_parameter(name).copy_(weight)
        model.zero_grad(set_to_none=True)
