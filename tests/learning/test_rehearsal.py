"""What the base says already, to be learned again."""

from bot.learning.data.rehearsal import read_pool, rehearse
from bot.settings import STARTER_MODEL
from starter.evaluate import build_cases
from tests.engine.conftest import serving

SYSTEM = "You are Apprentice, the assistant of this team."


async def test_answers_are_the_models_own_and_finished() -> None:
    """Each ends with the end of the turn, and the same seed asks the same."""
    async with serving(STARTER_MODEL, n_ctx=1024) as client:
        found = await rehearse(client, model="starter", system=SYSTEM, count=6, seed=1)
        again = await rehearse(client, model="starter", system=SYSTEM, count=6, seed=1)
        end = (await client.tokenize_chat([{"role": "user", "content": "a"}], is_open=False))[-2:]

    assert len(found) == 6
    assert found == again
    assert all(one.answer and one.completion_ids[-2:] == end for one in found)


def test_the_pool_is_varied_and_holds_nothing_that_is_held_out() -> None:
    """Single questions and threads, and none of the questions by which the starter is measured."""
    pool = read_pool()
    held_out = {case.messages[-1]["content"] for case in build_cases(per_kind=4, seed=7)}

    assert len(pool) > 1000
    assert sum(len(thread) > 1 for thread in pool) > 200
    assert len({thread[-1] for thread in pool}) > 900
    assert sum(thread[-1] in held_out and len(thread) == 1 for thread in pool) <= 5
