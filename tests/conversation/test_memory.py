"""What helps with a question: which corrections are chosen, how they stand in the prompt, how sure the model was."""

import asyncio
import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import gguf
import pytest

from bot.conversation.certainty import MOST_UNSURE, Certainty
from bot.conversation.draft import Question
from bot.conversation.history import Aside, build_messages
from bot.conversation.recall import Candidate, Recall, choose, nearest
from bot.engine.types import AnswerOptions
from bot.storage.correction_search import Found
from bot.storage.db import Database
from bot.storage.tables import Audience
from bot.storage.terms import find_terms
from bot.storage.threads import Place, Said
from tests.engine.conftest import serving
from tests.engine.tiny_model import write_tiny_model
from tests.storage.test_correction_search import ALIKE, QUESTION, teach

ASKED = Question(Place("T1", "C1", "1.0"), "1.0", "U2", "Tom", ALIKE, Audience.PUBLIC)
LONG = "\ufdfa" * 4_000  # each is as eighteen letters


def candidate(
    number: int, question: str, *, likeness: float = 0.6, cosine: float = 0.0, is_approved: bool = False
) -> Candidate:
    """Build a correction; a higher number is newer."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = Found(f"{number:026}", question, "answer", "U1", "C1", True, at, is_approved)
    return Candidate(found, find_terms(question), likeness, cosine)


def ids(chosen: list[Candidate]) -> list[int]:
    """Return the numbers of what was chosen."""
    return [int(one.found.correction_id) for one in chosen]


def test_of_the_same_question_the_newest_wins() -> None:
    """Also where it is put a little differently."""
    same = [candidate(1, "Who owns the billing service?"), candidate(2, "who owns the Billing Services")]
    other = candidate(3, "Where is the billing handbook kept?", likeness=0.5)

    assert ids(choose([*same, other], most=3)) == [2, 3]
    assert ids(choose([*same, other], most=1)) == [2]


def test_what_a_reviewer_approved_is_not_undone_by_a_newer_word() -> None:
    """Until a reviewer has looked at that one as well."""
    old, new = candidate(1, "Who owns the billing service?", is_approved=True), candidate(2, "Who owns billing service")

    assert ids(choose([old, new], most=3)) == [1]
    assert ids(choose([old, replace(new, found=replace(new.found, is_approved=True))], most=3)) == [2]


def test_what_is_not_alike_enough_is_not_shown() -> None:
    """By its words or by its vector; one of both is enough."""
    weak, by_vector = candidate(1, "one two three", likeness=0.49), candidate(2, "four five", likeness=0.0, cosine=0.9)
    assert ids(choose([weak, by_vector], most=3)) == [2]


def test_two_rankings_make_one() -> None:
    """What stands high in both comes before what leads in one."""
    chosen = choose(
        [
            candidate(1, "alpha beta", likeness=0.9),
            candidate(2, "gamma delta", likeness=0.8, cosine=0.95),
            candidate(3, "epsilon zeta", likeness=0.0, cosine=0.97),
        ],
        most=3,
    )
    assert ids(chosen)[0] == 2


def test_near_is_what_is_half_as_far_as_usual() -> None:
    """To some models everything is alike: what counts is the distance to the rest; with few, only near equality."""
    usual = [0.75] * 9
    names = [str(number) for number in range(11)]
    assert nearest(names[:10], [*usual, 0.86]) == {}
    assert nearest(names[:10], [*usual, 0.9]) == {"9": 0.9}
    assert nearest(names[:2], [0.85, 0.91]) == {"1": 0.91}


def test_where_asides_stand() -> None:
    """A summary at the beginning, which stays the same; what was taught right before the question."""
    messages = build_messages(
        "system",
        [Said("Maya", "one", "two")],
        Said("Maya", "three"),
        is_group=False,
        aside=Aside("short", (("taught", "noted"),)),
    )
    assert [message["content"] for message in messages] == ["system", "short\n\none", "two", "taught", "noted", "three"]


def test_a_word_is_as_sure_as_its_tokens_together() -> None:
    """Punctuation and sure words are left out; the rest comes in the order of the answer, the least sure ones only."""
    certainty = Certainty()
    assert (certainty.mean(), certainty.unsure()) == (None, {"words": []})
    for text, odds in [("The", 0.9), (" Lan", 0.6), ("tern", 0.5), (" ...", 0.1), (" room", 0.99), (" maybe", 0.2)]:
        certainty.add(text, math.log(odds))
    assert certainty.unsure() == {"words": [["Lantern", 0.3], ["maybe", 0.2]]}
    assert certainty.mean() == pytest.approx((0.9 * 0.6 * 0.5 * 0.1 * 0.99 * 0.2) ** (1 / 6))
    for number in range(50):
        certainty.add(f" w{number}", -1 - number)
    assert len(certainty.unsure()["words"]) == MOST_UNSURE
    assert certainty.unsure()["words"][-1][0] == "w49"


async def test_an_engine_with_embeddings_is_asked_for_them(database: Database, tmp_path: Path) -> None:
    """Vectors are made once and kept; the same question is found by its vector, and its answer says how sure it was."""
    model = write_tiny_model(tmp_path / "pooled.gguf", pooling=gguf.PoolingType.LAST)
    taught = await teach(database, "hello the user")
    async with serving(model) as client:
        served = (await client.models())[0]
        recall = Recall(database, client, most=3)
        question = Question(ASKED.place, "1.0", "U2", "Tom", "hello the user", Audience.PUBLIC)
        for _ in range(2):  # the first time the vector is made, the second time it is read
            (example,) = await recall.find(question, is_ours=True, model=served)
            assert example.correction_id == taught.correction_id
            assert example.score == pytest.approx(1, abs=1e-3)
        options = AnswerOptions(max_tokens=5, temperature=0.0, logprobs=True)
        chunks = [chunk async for chunk in client.chat([{"role": "user", "content": "hello"}], options)]
    assert sum(len(chunk.logprobs) for chunk in chunks) == sum(len(chunk.token_ids) for chunk in chunks) > 0
    assert all(logprob <= 0 for chunk in chunks for _, logprob in chunk.logprobs)


async def test_an_engine_without_embeddings_is_asked_once(database: Database, tmp_path: Path) -> None:
    """The words alone find it then; switched off, nothing is looked for."""
    taught = await teach(database, QUESTION)
    async with serving(write_tiny_model(tmp_path / "tiny.gguf")) as client:
        served = (await client.models())[0]
        recall = Recall(database, client, most=3)
        found = [await recall.find(ASKED, is_ours=True, model=served) for _ in range(2)]
        assert [[one.correction_id for one in examples] for examples in found] == [[taught.correction_id]] * 2
        assert await Recall(database, client, most=0).find(ASKED, is_ours=True, model=served) == []


async def test_long_questions_hold_up_nobody(database: Database, tmp_path: Path) -> None:
    """Thirty corrections of long questions were read anew for each other, which took many seconds of this thread."""
    for number in range(30):
        await teach(database, f"{QUESTION} number {number} {LONG}")
    asked = replace(ASKED, text=f"{ALIKE} {LONG}")
    longest, before = 0.0, time.thread_time()

    async def watch() -> None:
        nonlocal longest, before
        while True:
            longest, before = max(longest, time.thread_time() - before), time.thread_time()
            await asyncio.sleep(0)

    async with serving(write_tiny_model(tmp_path / "tiny.gguf")) as client:
        served = (await client.models())[0]
        recall = Recall(database, client, most=3)
        await recall.find(ASKED, is_ours=True, model=served)
        watching, before = asyncio.create_task(watch()), time.thread_time()
        assert await recall.find(asked, is_ours=True, model=served)
        watching.cancel()
    assert longest < 0.5
