"""Cross-validation where few votes are held out: it judges the recipe, by adapters that are thrown away.

The real adapter is trained and proven before, and nothing here can end its run: what cannot go on is left out, in
words. A fold is trained by the same process as any training, in a folder of its own below the run's, and leaves what it
thinks of its held-out answers; no file is made that an engine could serve.
"""

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bot.errors import LearningError
from bot.language import N_
from bot.learning import sentences
from bot.learning.examples import Example, Split, read_examples, write_examples
from bot.learning.figures import Figure, Role
from bot.learning.judging.folding import Folds, find_lack, needs_folds, split_folds
from bot.learning.judging.pooling import Judged, judge_fold, pool, say_pooled
from bot.learning.plan import EXAMPLES, MARGINS, PROOF_TEXTS, Outcome, Plan, write_json
from bot.learning.proving import SERVED_BASE

FOLDS, RESULT = "folds", "cross-validation.json"

log = logging.getLogger(__name__)
Train = Callable[[Path, str], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """What became of it in words, its figures, and what its trainings drew; empty where none was asked for."""

    sentence: str = ""
    figures: tuple[Figure, ...] = ()
    energy_kwh: float = 0.0


async def cross_validate(
    folder: Path, plan: Plan, outcome: Outcome, examples: Sequence[Example], *, most: int, train: Train
) -> CrossValidation:
    """Return what at most so many folds say of the recipe that *outcome* came from; after a kill it goes on.

    *train* brings a folder to its outcome; what it is for is said beside its progress.
    """
    found = _read(folder / RESULT)
    if found is None:
        found = await _try(folder, plan, outcome, examples, most=most, train=train)
        with suppress(OSError, LearningError):
            write_json(folder / RESULT, asdict(found))
    await asyncio.to_thread(drop_folds, folder)
    return found


def drop_folds(folder: Path) -> None:
    """Remove all that folds left in a run folder."""
    shutil.rmtree(folder / FOLDS, ignore_errors=True)


async def _try(
    folder: Path, plan: Plan, outcome: Outcome, examples: Sequence[Example], *, most: int, train: Train
) -> CrossValidation:
    if most < 2 or not needs_folds(examples):
        return CrossValidation()
    try:
        folds = split_folds(examples, most=most)
        reason = find_lack(examples, folds)
        if not reason:
            return await _pass_folds(folder, plan, outcome, examples, folds=folds, train=train)
    except (LearningError, OSError) as error:
        reason = str(error)
    except Exception as error:
        log.exception("learning: the cross-validation of %s met what nobody foresaw", folder)
        reason = sentences.FOLDS_FAULT.format(error=type(error).__name__)
    return CrossValidation(sentence=sentences.FOLDS_LEFT_OUT.format(reason=reason))


async def _pass_folds(
    folder: Path, plan: Plan, outcome: Outcome, examples: Sequence[Example], *, folds: Folds, train: Train
) -> CrossValidation:
    own = replace(plan, recipe=replace(outcome.recipe, search=0), is_fold=True)
    judged, energy = list[Judged](), 0.0
    for number in range(folds.count):
        place = folder / FOLDS / f"{number + 1}-of-{folds.count}"
        if Outcome.read(place) is None:
            check_time(plan, outcome, folds=folds.count - number)
            await asyncio.to_thread(_fill, place, folder, own, list(folds.rows(examples, number)))
        ended = await train(place, sentences.IN_FOLD.format(number=number + 1, all=folds.count, phase=""))
        if not ended.is_done:
            raise LearningError(ended.reason)
        if ended.ended_by == "deadline":
            raise LearningError(sentences.TIME_OVER_IN_FOLD.format(fold=number + 1, folds=folds.count))
        judged += await asyncio.to_thread(_read_judged, place)
        energy += ended.energy_kwh or 0.0
    figures = pool(judged, folds=folds.count, seed=plan.seed)
    if not figures:
        raise LearningError(N_("the folds' adapters tell no answers apart: they learned too little from so few."))
    return CrossValidation(sentence=say_pooled(figures), figures=figures, energy_kwh=energy)


def check_time(plan: Plan, outcome: Outcome, *, folds: int) -> None:
    """Raise *LearningError* where the time for training does not suffice for so many folds more."""
    needed, left = folds * outcome.seconds, plan.deadline - time.time()
    if plan.deadline and left < needed:
        raise LearningError(sentences.TIME_TOO_SHORT.format(needed=needed / 60, left=max(0.0, left) / 60))


def _fill(place: Path, folder: Path, plan: Plan, rows: Sequence[Example]) -> None:
    """Write what a trainer of a fold reads; it sees nothing of the run's own folder."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_examples(place / EXAMPLES, rows)
    for name in (PROOF_TEXTS, SERVED_BASE):
        shutil.copyfile(folder / name, place / name)
    plan.write(place)


def _read_judged(place: Path) -> list[Judged]:
    held_out = [row for row in read_examples(place / EXAMPLES) if row.split is Split.TEST]
    return judge_fold(held_out, json.loads((place / MARGINS).read_text(encoding="utf-8")))


def _read(path: Path) -> CrossValidation | None:
    """Return what an earlier start of the run came to."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    figures = tuple(Figure(**figure | {"role": Role(figure["role"])}) for figure in values["figures"])
    return CrossValidation(**values | {"figures": figures})
