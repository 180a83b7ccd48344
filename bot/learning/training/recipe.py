"""How to train, from the size of the model and what the data hold: a table of what works, and no search. Pure.

Rates and ranks for real models are those that the field uses (TRL's and Tinker's LoRA defaults); those for models of a
few million parameters were measured on the starter (`docs/learning.md`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.learning.examples import Source
from bot.learning.plan import Recipe

TINY = 50_000_000  # parameters; what is smaller takes rates ten times as high, and needs them
FEWEST_VOTES = 20  # of each kind, from which thumbs say something about taste, and as many pairs
MANY_PAIRS = 200  # from which pairs say more than thumbs, however many these are
SMALL, LARGE = 500, 3000  # rows
ROWS_SEEN, TAUGHT_ROWS_SEEN = 1800, 5600  # by a tiny model: of votes alone, and where facts are taught
MOST_EPOCHS = 4.0
LEAST_REHEARSAL, MOST_REHEARSAL = 2400, 4400  # beside a tiny model's facts: with less it forgets, more is slow


@dataclass(frozen=True, slots=True)
class Breadth:
    """In how many other words a taught question is trained, and how much rehearsal stands beside it.

    It is a share of all rows; beside taught facts, if it is not 0, it is so many rows at least and at most (0: any).
    """

    phrasings: int
    rehearsal_share: float
    least_rehearsal: int = 0
    most_rehearsal: int = 0


def choose_breadth(*, parameters: int) -> Breadth:
    """Return how broad the data have to be: a tiny model knows no synonyms, and forgets what it does not rehearse."""
    return Breadth(44, 0.75, LEAST_REHEARSAL, MOST_REHEARSAL) if 0 < parameters < TINY else Breadth(10, 0.25)


def choose_recipe(*, parameters: int, rows: Mapping[str, int], pairs: int | None = None) -> Recipe:
    """Return the recipe for a model of so many *parameters* and *rows* of each source; 0 parameters: unknown.

    *pairs* are those that may decide how taste is trained, if not all.
    """
    preference = choose_preference(rows, pairs)
    total = sum(rows.values())
    if 0 < parameters < TINY:
        is_taught = bool(rows.get(Source.PHRASING))
        epochs = count_epochs(total, is_taught=is_taught)
        return Recipe(
            rank=64,
            alpha=64,
            sft_rate=1.5e-3 if is_taught and epochs > 1 else 2.5e-3,  # seen more than once, rows need less
            epochs=epochs,
            batch_rows=16,
            patience=5,
            shelter=0.003,
            soft_rehearsal=1.0,
            preference=preference,
            preference_rate=8e-4,
            preference_epochs=4.0,
        )
    rank = 8 if total < SMALL else 16 if total <= LARGE else 32
    return Recipe(
        rank=rank,
        alpha=2 * rank,
        sft_rate=2e-4,
        epochs=3.0 if total < SMALL else 2.0,
        batch_rows=8 if total < SMALL else 16,
        preference=preference,
        preference_rate=1e-5 if total > LARGE else 5e-6,
    )


def count_epochs(rows: int, *, is_taught: bool) -> float:
    """Return how often a tiny model sees its rows: few rows more often, and longer where facts stand among them."""
    seen = TAUGHT_ROWS_SEEN if is_taught else ROWS_SEEN
    return min(MOST_EPOCHS, max(1.0, round(2 * seen / max(1, rows)) / 2))


def choose_preference(rows: Mapping[str, int], pairs: int | None = None) -> str:
    """Return how taste is trained: `dpo` on pairs that are many or more than thumbs, `kto` on thumbs, or `none`."""
    if pairs is None:
        pairs = sum(rows.get(source, 0) for source in (Source.REGENERATED, Source.COMPARED))
    votes = min(rows.get(source, 0) for source in (Source.LIKED, Source.DISLIKED))
    if pairs >= MANY_PAIRS or pairs >= max(FEWEST_VOTES, votes):
        return "dpo"
    return "kto" if votes >= FEWEST_VOTES else "none"
