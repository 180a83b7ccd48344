"""The optional search: a few recipes around the chosen one, each trained shortly, judged by the validation split.

Optuna chooses what to try next where it is installed (TPE), otherwise chance does. The test split is not touched.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from math import inf, isfinite
from pathlib import Path
from random import Random
from typing import Any

from bot.errors import LearningError
from bot.learning.plan import CHECKPOINTS, Plan, Recipe, write_json
from bot.learning.training.adapter import attach_adapter
from bot.learning.training.journal import Journal
from bot.learning.training.phases import Phase, run_phase
from bot.learning.training.rows import Rows
from bot.learning.training.watching import Watch

ROWS = 160  # of a try: enough to tell rates apart
TRIES = Path(CHECKPOINTS, "search")
TIME = 0.25  # of what is left until the deadline, for all tries together
FACTOR = 4.0  # how far a rate may lie from the chosen one
HALVES = (1, 2, 4)  # of the chosen rank
DROPOUTS = (0.0, 0.05)
Ask = Callable[[], Recipe]
Tell = Callable[[float], None]


def search_recipe(
    model: Any, plan: Plan, rows: Rows, watch: Watch, *, shelter: Mapping[str, Any]
) -> tuple[Recipe, list[str]]:
    """Return the best of the recipes that were tried, the plan's own among them, and what was tried in words."""
    recipe, result = plan.recipe, watch.folder / TRIES / "result.json"
    if not recipe.search or not rows.validation or not rows.train:
        note = "No other recipes were tried: there is nothing held out to judge them by."
        return recipe, [note] if recipe.search else []
    if result.exists():
        found = json.loads(result.read_text())
        return Recipe(**found["recipe"]), found["notes"]
    sample = Rows(train=rows.train[:: max(1, len(rows.train) // ROWS)], validation=rows.validation[:ROWS])
    best, notes = _try_all(model, plan, sample, watch, shelter=shelter)
    if not watch.is_stopped:
        write_json(result, {"recipe": asdict(best), "notes": notes})
    return best, notes


def _try_all(
    model: Any, plan: Plan, sample: Rows, watch: Watch, *, shelter: Mapping[str, Any]
) -> tuple[Recipe, list[str]]:
    ask, tell = _open_study(plan.recipe, plan.seed)
    until = time.time() + TIME * (plan.deadline - time.time()) if plan.deadline else inf
    journal, tried = watch.journal, []
    recipe = plan.recipe
    for number in range(plan.recipe.search + 1):  # the plan's own first: nothing worse is chosen
        watch.journal = Journal(watch.folder / TRIES / str(number))
        loss = _try(model, recipe, plan, sample, watch, shelter=shelter)
        if watch.must_end():
            break
        tried.append((loss, recipe))
        if time.time() > until:
            break
        if number:
            tell(loss)
        recipe = ask()
    watch.journal, watch.tokens, watch.seconds = journal, 0, 0.0
    best = min(tried, key=lambda pair: pair[0], default=(inf, plan.recipe))[1]
    notes = [
        f"Tried rate {one.sft_rate:.1e}, rank {one.rank}, dropout {one.dropout:g}: "
        + (f"validation loss {loss:.4f}." if isfinite(loss) else "it diverged.")
        for loss, one in tried
    ]
    return best, notes


def _try(model: Any, recipe: Recipe, plan: Plan, sample: Rows, watch: Watch, *, shelter: Mapping[str, Any]) -> float:
    """Return the best validation loss of a short training; infinite when it went astray."""
    folder = watch.journal.path.parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    phase = Phase(
        name="searching",
        rows=sample,
        rate=recipe.sft_rate,
        epochs=1.0,
        batch=recipe.batch_rows,
        seed=plan.seed,
        folder=folder,
        shelter=shelter,
    )
    watch.steps = phase.count_steps()
    adapted = attach_adapter(model, recipe, seed=plan.seed, shelter=shelter)
    try:
        loss = run_phase(adapted, phase, recipe, watch).validation_loss
    except LearningError:
        loss = inf
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        adapted.unload()
        model.__dict__.pop("forward", None)  # TRL's head, which the next trainer would wrap once more
    return inf if loss is None else loss


def _open_study(recipe: Recipe, seed: int) -> tuple[Ask, Tell]:
    """Return how the next recipe is asked for and how its loss is told."""
    low, high = recipe.sft_rate / FACTOR, recipe.sft_rate * FACTOR

    def build(rate: float, rank: int, dropout: float) -> Recipe:
        return replace(recipe, sft_rate=rate, rank=rank, alpha=rank * recipe.alpha // recipe.rank, dropout=dropout)

    if find_spec("optuna") is None:
        rng = Random(seed)  # noqa: S311 - a search that can be repeated
        return lambda: build(
            low * (high / low) ** rng.random(), recipe.rank * rng.choice(HALVES) // 2, rng.choice(DROPOUTS)
        ), lambda _: None
    import optuna  # type: ignore[import-not-found]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    asked: list[Any] = []

    def ask() -> Recipe:
        asked.append(study.ask())
        return build(
            asked[-1].suggest_float("rate", low, high, log=True),
            recipe.rank * asked[-1].suggest_categorical("halves", HALVES) // 2,
            asked[-1].suggest_categorical("dropout", DROPOUTS),
        )

    def tell(loss: float) -> None:
        bad = optuna.trial.TrialState.FAIL
        study.tell(asked[-1], loss if isfinite(loss) else None, state=None if isfinite(loss) else bad)

    return ask, tell
