"""What the base says already, to be learned again."""

import pytest

from bot.learning.data import rehearsal
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


async def test_what_is_asked_more_than_once_is_asked_in_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small pool serves many rows; each says which prompt it came from, and endless answers end the asking."""
    pool = [["What is a sprint?"], ["hello"], ["What is a code review?"]]
    monkeypatch.setattr(rehearsal, "read_pool", lambda: [list(thread) for thread in pool])
    async with serving(STARTER_MODEL, n_ctx=1024) as client:
        found = await rehearse(client, model="starter", system=SYSTEM, count=9, seed=1)
        monkeypatch.setattr(rehearsal, "LONGEST_ANSWER", 1)
        cut = await rehearse(client, model="starter", system=SYSTEM, count=9, seed=1)

    assert len({one.question for one in found}) == 9
    assert {(one.origin,) for one in found} == {tuple(thread) for thread in pool}
    assert cut == []


async def test_what_was_taught_is_not_rehearsed_as_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to know is rehearsed, but not where somebody said it meanwhile; what the base can tell stays."""
    pool = [["Where can I park my bike?"], ["Who leads the sales team?"], ["What is a sprint?"]]
    monkeypatch.setattr(rehearsal, "read_pool", lambda: [list(thread) for thread in pool])
    taught = ["where do people park their bike here?", "When does our sprint begin?"]
    async with serving(STARTER_MODEL, n_ctx=1024) as client:
        everything = await rehearse(client, model="starter", system=SYSTEM, count=3, seed=1)
        found = await rehearse(client, model="starter", system=SYSTEM, count=2, seed=1, taught=taught)

    assert {one.question for one in everything} == {thread[0] for thread in pool}
    assert {one.question for one in found} == {"Who leads the sales team?", "What is a sprint?"}


def test_the_pool_is_varied_and_holds_nothing_that_is_held_out() -> None:
    """Single questions and threads, and none of the questions by which the starter is measured."""
    pool = read_pool()
    held_out = {case.messages[-1]["content"] for case in build_cases(per_kind=4, seed=7)}

    assert len(pool) > 1000
    assert sum(len(thread) > 1 for thread in pool) > 200
    assert len({thread[-1] for thread in pool}) > 900
    assert sum(thread[-1] in held_out and len(thread) == 1 for thread in pool) <= 5
