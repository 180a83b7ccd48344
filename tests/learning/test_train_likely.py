"""Beside taught facts, what one row alone says is learned only where the base nearly says it too."""

from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np
import pytest

from bot.learning.examples import Example, Source
from bot.learning.plan import Recipe
from bot.learning.training.adapter import attach_adapter
from bot.learning.training.base import score
from bot.learning.training.likely import find_unlikely
from bot.learning.training.phases import Phase, build_trainer
from bot.learning.training.rows import UNTRAINED, Rows
from tests.learning.tiny_models import build_model
from tests.learning.training_folder import SHELTERED, SMALL, make_answers, make_rehearsal

pytestmark = pytest.mark.filterwarnings("ignore")


def make_night() -> tuple[list[Example], list[Example]]:
    """Return all rows of a night, and of them the liked answers and canaries."""
    rows = [
        replace(row, completion_ids=(*row.prompt_ids[:4], *row.completion_ids)) for row in make_answers(24, every=0)
    ]
    sources = [Source.LIKED, Source.CANARY, Source.PHRASING, Source.CORRECTION]
    rows = [replace(row, source=sources[number % 4]) for number, row in enumerate(rows)]
    return [*rows, *make_rehearsal(4)], [row for row in rows if row.source in {Source.LIKED, Source.CANARY}]


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_what_the_base_would_hardly_say_is_left_out(kind: str) -> None:
    """Of such rows exactly the tokens below the chance are left out, never the end; all else is learned whole."""
    model, (rows, alone) = build_model(kind).eval(), make_night()
    logprobs = {
        row.id: np.array(one.given)[len(row.prompt_ids) - 1 :]
        for row, one in zip(alone, score(model, [[*row.prompt_ids, *row.completion_ids] for row in alone]), strict=True)
    }
    middle = float(np.median(np.concatenate([found[:-1] for found in logprobs.values()])))

    unlikely = find_unlikely(model, rows, likely=exp(middle))

    expected = {
        name: {int(at) for at in np.flatnonzero(found[:-1] < middle - 1e-5)} for name, found in logprobs.items()
    }
    near = {name: {int(at) for at in np.flatnonzero(found[:-1] < middle + 1e-5)} for name, found in logprobs.items()}
    assert unlikely.keys() == expected.keys()
    assert all(expected[name] <= places <= near[name] for name, places in unlikely.items())
    assert any(unlikely.values())


def test_without_facts_all_of_an_answer_is_learned() -> None:
    """A night of votes alone is short: nothing of it is left out."""
    rows = [row for row in make_night()[0] if row.source is not Source.PHRASING]

    assert find_unlikely(build_model("llama"), rows) == {}


@pytest.mark.parametrize("recipe", [SMALL, SHELTERED])
def test_the_trainer_is_given_no_label_there(tmp_path: Path, recipe: Recipe) -> None:
    """The labels of a phase lack what was found unlikely, with rehearsal marks and without."""
    rows, alone = make_night()
    unlearned = {alone[0].id: frozenset({0, 2})}
    phase = Phase(
        name="sft", rows=Rows(rows), rate=1e-3, epochs=1.0, batch=4, seed=1, folder=tmp_path, unlearned=unlearned
    )
    adapted = attach_adapter(build_model("llama"), recipe, seed=1)

    trained = build_trainer(adapted, phase, recipe).train_dataset
    answer = alone[0].completion_ids
    said = [row["labels"] for row in trained if row["input_ids"] == [*alone[0].prompt_ids, *answer]]
    assert [labels[-len(answer) :] for labels in said] == [[UNTRAINED, answer[1], UNTRAINED, *answer[3:]]]
    assert sum(labels.count(UNTRAINED) for labels in trained["labels"]) == 2 + sum(len(row.prompt_ids) for row in rows)
