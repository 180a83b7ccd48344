"""The recipe follows from the model's size and from what the data hold."""

import pytest

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
        ({"liked": 30, "disliked": 30, "regenerated": 150, "compared": 60}, "dpo"),
    ],
)
def test_taste_is_trained_on_what_there_is(more: dict[str, int], preference: str) -> None:
    """Thumbs of both kinds, or many pairs; one-sided votes teach nothing."""
    assert choose_recipe(parameters=10**9, rows=FACTS | more).preference == preference


def test_few_facts_are_seen_more_often() -> None:
    """A tiny model needs about the same number of steps for ten facts as for fifty."""
    assert [count_epochs(rows) for rows in (0, 100, 800, 4000)] == [4.0, 4.0, 2.0, 1.0]


def test_tiny_models_need_broader_data() -> None:
    """They know no synonyms, and forget what is not rehearsed."""
    tiny, real = choose_breadth(parameters=4_541_184), choose_breadth(parameters=10**9)

    assert tiny.phrasings > real.phrasings
    assert tiny.rehearsal_share > real.rehearsal_share
