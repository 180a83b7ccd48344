"""The recipe follows from the model's size and from what the data hold."""

from dataclasses import asdict, replace

import pytest

from bot.learning.data.making import count_rehearsal
from bot.learning.data.policy import DataPolicy
from bot.learning.training.recipe import choose_breadth, choose_recipe, count_epochs

FACTS = {"correction": 20, "phrasing": 200, "rehearsal": 80}


def test_small_models_take_higher_rates() -> None:
    """A few million parameters need more than ten times what real models are trained with."""
    tiny, real = (choose_recipe(parameters=size, rows=FACTS) for size in (4_541_184, 8_000_000_000))

    assert tiny.sft_rate > real.sft_rate
    assert real.sft_rate == choose_recipe(parameters=0, rows=FACTS).sft_rate


@pytest.mark.parametrize(("rows", "rank"), [(100, 8), (1000, 16), (5000, 32)])
def test_more_rows_take_a_higher_rank(rows: int, rank: int) -> None:
    """As the table of learning.md says, with alpha twice the rank."""
    recipe = choose_recipe(parameters=10**9, rows={"phrasing": rows})

    assert (recipe.rank, recipe.alpha) == (rank, 2 * rank)


@pytest.mark.parametrize(
    ("more", "preference"),
    [
        ({}, "none"),
        ({"liked": 30, "disliked": 5}, "none"),
        ({"liked": 30, "disliked": 30}, "kto"),
        ({"liked": 230, "disliked": 230, "regenerated": 150, "compared": 60}, "dpo"),
        ({"liked": 2, "disliked": 2, "regenerated": 24}, "dpo"),
        ({"regenerated": 19}, "none"),
        ({"liked": 30, "disliked": 30, "regenerated": 24}, "kto"),
    ],
)
def test_taste_is_trained_on_what_there_is(more: dict[str, int], preference: str) -> None:
    """Thumbs of both kinds, or pairs that are many or more than these; one-sided votes teach nothing."""
    assert choose_recipe(parameters=10**9, rows=FACTS | more).preference == preference


def test_one_persons_pairs_do_not_decide() -> None:
    """Twenty pairs of one, beside everybody's thumbs, leave these what is trained on."""
    rows = FACTS | {"liked": 180, "disliked": 20, "regenerated": 20}

    assert choose_recipe(parameters=10**9, rows=rows).preference == "dpo"
    assert choose_recipe(parameters=10**9, rows=rows, pairs=0).preference == "kto"


def test_few_rows_are_seen_more_often() -> None:
    """A tiny model needs more steps than few rows are, longer where facts are taught, and no more for fifty of them."""
    assert [count_epochs(rows, is_taught=False) for rows in (0, 100, 800, 4000)] == [4.0, 4.0, 2.0, 1.0]
    assert [count_epochs(rows, is_taught=True) for rows in (100, 2850, 3750, 6600)] == [4.0, 2.0, 1.5, 1.0]


def test_rehearsal_beside_facts_has_a_least_and_a_most() -> None:
    """A tiny model forgets beside ten facts as beside fifty; votes alone have a share of it, as a real model has."""
    tiny = replace(DataPolicy(), **asdict(choose_breadth(parameters=4_541_184)))
    real = replace(DataPolicy(), **asdict(choose_breadth(parameters=10**9)))

    assert [count_rehearsal(tiny, taught=taught, liked=10) for taught in (0, 450, 1200, 2250)] == [30, 2400, 3630, 4400]
    assert [count_rehearsal(real, taught=taught, liked=10) for taught in (0, 290, 2990)] == [3, 100, 1000]
    assert count_rehearsal(replace(tiny, rehearsal_share=0.0), taught=450, liked=10) == 0


def test_tiny_models_need_broader_data() -> None:
    """They know no synonyms, and forget what is not rehearsed."""
    tiny, real = choose_breadth(parameters=4_541_184), choose_breadth(parameters=10**9)

    assert tiny.phrasings > real.phrasings
    assert tiny.rehearsal_share > real.rehearsal_share
