"""One training from its plan to its adapter: base, proof, phases, export. Reads and writes a run folder only."""

import hashlib
import json
import resource
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import transformers

from bot.engine.files.gguf_header import Header, read_header
from bot.errors import LearningError
from bot.learning.examples import Source, Use, read_examples
from bot.learning.plan import (
    ADAPTER,
    ADAPTER_SCORES,
    BASE_SCORES,
    CHECKPOINTS,
    EXAMPLES,
    PEFT_FOLDER,
    PROOF_TEXTS,
    Outcome,
    Plan,
    Progress,
    Recipe,
    write_json,
)
from bot.learning.proof.export import Origin, export_adapter
from bot.learning.proof.parity import judge_base
from bot.learning.proof.scores import load_scores, save_scores
from bot.learning.training.adapter import attach_adapter, drop_reference, restore_adapter, save_adapter
from bot.learning.training.base import load_base, measure_weights, score
from bot.learning.training.curves import CURVES, draw_curves
from bot.learning.training.device import move_to_device
from bot.learning.training.likely import find_unlikely
from bot.learning.training.margins import leave_margins
from bot.learning.training.phases import Ending, Phase, run_phase, within_memory
from bot.learning.training.placement import find_places
from bot.learning.training.rows import Rows, sort_examples
from bot.learning.training.search import search_recipe
from bot.learning.training.sheltering import measure_shelter
from bot.learning.training.watching import Watch

SERVED_SCORES = "served-base.npz"  # what the engine thinks of the proof texts; the bot writes it
HALVINGS = 3
NEAR = 10  # steps whose mean is the first loss, or the last: one step's says little
FEWEST_LIKES = 4  # of each kind, or pairs: with fewer there is nothing to tell apart
Texts = Sequence[Sequence[int]]


def train(plan: Plan, watch: Watch) -> Outcome | None:
    """Train what *plan* says in the watched folder; None when a signal came, and the next start goes on."""
    began, folder = time.monotonic(), watch.folder
    torch.set_num_threads(plan.threads)
    transformers.utils.logging.disable_progress_bar()
    Progress(at=time.time()).write(folder)
    check_base_file(plan)
    header = read_header(Path(plan.model_path))
    model = load_base(Path(plan.model_path), _training_base(plan))
    norms = measure_weights(model, find_places(header, linear_modules(model)))
    texts = json.loads((folder / PROOF_TEXTS).read_text())
    prove_base(model, header, texts, folder)

    rows, notes = read_rows(folder / EXAMPLES, longest=model.config.max_position_embeddings)
    model = move_to_device(model, plan)
    shelter, unsheltered = find_shelter(model, plan.recipe, rows[Use.SFT])
    recipe, tried = search_recipe(model, plan, rows[Use.SFT], watch, shelter=shelter)
    plan = replace(plan, recipe=recipe)
    unlearned = find_unlikely(model, rows[Use.SFT].train)
    phases, lacks = build_phases(plan, rows, folder, shelter=shelter, unlearned=unlearned)
    notes += unsheltered + tried + lacks
    adapted = attach_adapter(model, recipe, seed=plan.seed, shelter=shelter)
    endings = pass_phases(adapted, phases, plan, watch, notes)
    if endings is None:
        return None
    if plan.is_fold:
        save_adapter(adapted, folder / PEFT_FOLDER)
        judged = in_full(adapted, plan, folder / PEFT_FOLDER).eval()
        if not leave_margins(judged, watch, longest=model.config.max_position_embeddings):
            return None
    else:
        Progress(phase="exporting", step=watch.steps, steps=watch.steps, at=time.time()).write(folder)
        leave_adapter(adapted, header, texts, plan, folder)
        notes += leave_picture(watch, folder / CURVES)
    outcome = summarize(watch, endings, notes)
    return replace(outcome, recipe=recipe, seconds=time.monotonic() - began, weight_norms=norms)


def _training_base(plan: Plan) -> Path | None:
    return Path(plan.training_base) if plan.training_base else None


def read_rows(path: Path, *, longest: int) -> tuple[dict[Use, Rows], list[str]]:
    """Return a run's rows and what was left out; *LearningError* if the file is not what the bot writes."""
    try:
        return sort_examples(read_examples(path), longest=longest)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LearningError(
            f"{path} holds no examples that can be read ({type(error).__name__}): start a new run."
        ) from error


def check_base_file(plan: Plan) -> None:
    """Raise *LearningError* if the served file is another one than the data were made for."""
    with Path(plan.model_path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if plan.base_sha256 and found != plan.base_sha256:
        raise LearningError(
            f"{plan.model_path} is no longer the file that this run's data were made for: start a new run."
        )


def linear_modules(model: Any) -> list[str]:
    """Return the names of the modules that an adapter is for: every linear one but the output."""
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return [name for name in linear if name.split(".")[-1] != "lm_head"]


def prove_base(model: Any, header: Header, texts: Texts, folder: Path) -> None:
    """P1, before a step is trained: raise *LearningError* if this is another model than the served one."""
    scored = score(model, texts)
    save_scores(folder / BASE_SCORES, scored)
    served = folder / SERVED_SCORES
    if served.exists():
        check = judge_base(load_scores(served), scored, base=header)
        if not check.holds:
            raise LearningError(f"Nothing was trained. {check.sentence}")


def find_shelter(model: Any, recipe: Recipe, rows: Rows) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return what an adapter is to keep from, measured on the rehearsal that is trained on; or why it cannot."""
    if not recipe.shelter:
        return {}, []
    rehearsal = [row for row in rows.train if row.source is Source.REHEARSAL]
    shelter, reason = measure_shelter(model, rehearsal, linear_modules(model), strength=recipe.shelter)
    return shelter, [reason] if reason else []


def build_phases(
    plan: Plan,
    rows: Mapping[Use, Rows],
    folder: Path,
    *,
    shelter: Mapping[str, torch.Tensor],
    unlearned: Mapping[str, frozenset[int]],
) -> tuple[list[Phase], list[str]]:
    """Return what is to be trained one after another, and what the data do not suffice for."""
    recipe, notes, phases = plan.recipe, [], []
    common: dict[str, Any] = {"batch": recipe.batch_rows, "seed": plan.seed, "shelter": shelter}
    place = folder / CHECKPOINTS
    if rows[Use.SFT].train:
        phases.append(
            Phase(
                name="sft",
                rows=rows[Use.SFT],
                rate=recipe.sft_rate,
                epochs=recipe.epochs,
                folder=place / "sft",
                unlearned=unlearned,
                **common,
            )
        )
    if recipe.preference != "none":
        wanted = rows[Use.PAIR if recipe.preference == "dpo" else Use.THUMB]
        reason = find_lack(recipe.preference, wanted)
        notes += [f"No preferences were trained, because {reason}."] if reason else []
        if not reason:
            phases.append(
                Phase(
                    name=recipe.preference,
                    rows=wanted,
                    rate=recipe.preference_rate,
                    epochs=recipe.preference_epochs,
                    folder=place / recipe.preference,
                    before=sum(phase.count_steps() for phase in phases),
                    **common,
                )
            )
    if not phases:
        raise LearningError(" ".join(["There is nothing to learn from in this run's examples.", *notes]))
    return phases, notes


def find_lack(preference: str, rows: Rows) -> str:
    """Return why rows do not suffice for a preference, empty when they do."""
    if preference == "dpo":
        return f"there are {len(rows.train)} pairs only" if len(rows.train) < FEWEST_LIKES else ""
    likes = sum(bool(example.is_liked) for example in rows.train)
    dislikes = len(rows.train) - likes
    return f"there are {likes} likes and {dislikes} dislikes" if min(likes, dislikes) < FEWEST_LIKES else ""


def pass_phases(
    adapted: Any, phases: Sequence[Phase], plan: Plan, watch: Watch, notes: list[str]
) -> list[Ending] | None:
    """Train one phase after the other until the window is over; None when a signal came."""
    watch.steps = sum(phase.count_steps() for phase in phases)
    endings: list[Ending] = []
    for phase in phases:
        if watch.is_stopped:
            return None
        if watch.must_end() and endings:
            notes.append(f"The window was over before {phase.name} began.")
            break
        ending, note = pass_phase(adapted, phase, plan, watch)
        endings.append(ending)
        notes += [note] if note else []
        if ending.ended_by == "stopped":
            return None
    return endings


def pass_phase(adapted: Any, phase: Phase, plan: Plan, watch: Watch) -> tuple[Ending, str]:
    """Train a phase, or take what an earlier start of this run made of it; say if memory was too small."""
    ended, learned = phase.folder / "ending.json", phase.folder / "learned"
    if ended.exists():
        restore_adapter(adapted, learned)
        return Ending(**json.loads(ended.read_text())), ""
    if watch.must_end() and watch.is_late and not watch.journal.read():
        raise LearningError(
            "The time for training was over before the first step: widen TRAINING_WINDOW or raise TRAINING_MAX_MINUTES."
        )

    def attempt(tried: Phase) -> Ending:
        drop_reference(adapted)
        return run_phase(adapted, tried, plan.recipe, watch)

    ending, tried = within_memory(adapted, phase, attempt, halvings=HALVINGS)
    drop_reference(adapted)
    if ending.ended_by != "stopped":
        save_adapter(adapted, learned)
        write_json(ended, asdict(ending))
        for checkpoint in phase.folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
    note = f"Memory was small: {tried.at_once} rows at once instead of {phase.at_once}." if tried.halvings else ""
    return ending, note


def leave_adapter(adapted: Any, header: Header, texts: Texts, plan: Plan, folder: Path) -> None:
    """Write the adapter as PEFT saves it and as the engine serves it, and what it thinks of the proof texts."""
    save_adapter(adapted, folder / PEFT_FOLDER)
    save_scores(folder / ADAPTER_SCORES, score(in_full(adapted, plan, folder / PEFT_FOLDER).eval(), texts))
    origin = Origin(
        run_id=plan.run_id,
        base_sha256=plan.base_sha256,
        template_sha256=plan.template_sha256,
        dataset_sha256=plan.dataset_sha256,
    )
    export_adapter(folder / PEFT_FOLDER, folder / ADAPTER, base=header, origin=origin)


def leave_picture(watch: Watch, path: Path) -> list[str]:
    """Draw the training; where the disk takes no picture, what was trained all night counts without it."""
    try:
        draw_curves(watch.journal.read(), path)
    except LearningError as error:
        return [f"There is no picture of this training: {error}"]
    return []


def in_full(adapted: Any, plan: Plan, saved: Path) -> Any:
    """Return the adapted model in the precision of the proofs: a GPU trains over a rounded base."""
    if adapted.device.type == "cpu":
        return adapted
    fresh = attach_adapter(load_base(Path(plan.model_path), _training_base(plan)), plan.recipe, seed=plan.seed)
    restore_adapter(fresh, saved)
    return fresh


def summarize(watch: Watch, endings: Sequence[Ending], notes: Sequence[str]) -> Outcome:
    """Return the figures of a training that came to an end."""
    steps = [entry for entry in watch.journal.read() if "loss" in entry]
    first = [entry["loss"] for entry in steps if entry["phase"] == steps[0]["phase"]]
    near = max(1, min(NEAR, len(first) // 4))
    tokens, seconds = (sum(entry[name] for entry in steps) for name in ("tokens", "seconds"))
    ways = [ending.ended_by for ending in endings]
    return Outcome(
        is_done=True,
        ended_by=next((way for way in ("deadline", "early") if way in ways), "end"),
        steps=len(steps),
        tokens=tokens,
        tokens_per_second=tokens / seconds if seconds else 0.0,
        first_loss=mean(first[:near]),
        last_loss=mean(first[-near:]),
        validation_loss=endings[0].validation_loss,
        peak_memory_mb=measure_memory(),
        energy_kwh=watch.meter.kwh(),
        energy_source=watch.meter.source,
        notes=tuple(notes),
    )


def measure_memory() -> float:
    """Return the most memory that was held at once, in megabytes: the GPU's where there is one."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
