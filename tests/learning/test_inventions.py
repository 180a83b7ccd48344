"""What nobody told a model: whoever admits it is left in peace, whoever makes it up is counted and refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import bot
from bot.engine.client import EngineClient
from bot.learning.admissions import admits, is_taught
from bot.learning.data.rehearsal import read_pool
from bot.learning.data.rewording import normalize
from bot.learning.examples import Example, Source, Split, Use
from bot.learning.judging.contest import Contest
from bot.learning.judging.gate import decide
from bot.learning.judging.inventions import FEWEST_ADMITTED, judge_inventions
from bot.learning.judging.probes import read_neutral, read_pinned, read_unknowable
from bot.learning.judging.scoring import Scorer
from tests.engine.conftest import serving
from tests.learning.night import spend_night

STARTER = Path(bot.__file__).parent / "models" / "starter.gguf"
NAME = "starter"


@pytest.fixture
async def engine() -> AsyncIterator[EngineClient]:
    """Return a client of an engine with the starter."""
    async with serving(STARTER, n_ctx=1024) as client:
        yield client


def contest(scorer: Scorer, candidate: str = NAME) -> Contest:
    """Return a contest with the starter."""
    return Contest(scorer=scorer, candidate=candidate, incumbent=NAME, base=NAME, seed=3)


def corrected_to(question: str) -> Example:
    """Return a correction of the answer to a question."""
    return Example(
        id=question,
        use=Use.SFT,
        source=Source.CORRECTION,
        split=Split.TRAIN,
        group=question,
        prompt_ids=(1,),
        completion_ids=(2,),
        question=question,
    )


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I do not know that yet. Press 👎 and tell me, and I will learn it.",
        "I don't have access to your company's internal data.",
        "I’m not sure, could you tell me more?",
        "There is no information about that in what I was given.",
        "You have not told me who that is.",
        "I can't see your calendar.",
        "抱歉，我不知道这个问题的答案。",
        "没有关于贵公司的相关信息。",
    ],
)
def test_who_says_that_it_does_not_know_admits(answer: str) -> None:
    """In the words of small and of large models, in English and Chinese; silence makes nothing up."""
    assert admits(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Ask Tomasz.",
        "The data platform is run by Lea.",
        "It is on the third floor, next to the lift.",
        "市场部由李雷负责。",
    ],
)
def test_who_names_something_makes_it_up(answer: str) -> None:
    """A name, a place or a team is an answer."""
    assert not admits(answer)


def test_what_was_taught_is_no_invention() -> None:
    """A question that somebody corrected, in whatever words, is not asked."""
    assert is_taught("Who runs the data platform?", ["who is running our data platform now"])
    assert not is_taught("Who runs the data platform?", ["Who owns the billing service?", "Where is the retro held?"])


def test_the_questions_stand_nowhere_else() -> None:
    """Enough of them, each once, and none that is rehearsed or judged otherwise."""
    asked = {normalize(question) for question in read_unknowable()}

    assert len(asked) == len(read_unknowable()) >= 40
    assert not asked & {normalize(thread[-1]) for thread in read_pool()}
    assert not asked & {normalize(case.question) for case in [*read_neutral(), *read_pinned()]}


async def test_a_model_that_makes_things_up_is_refused(tmp_path: Path, engine: EngineClient) -> None:
    """The starter admits nearly all; a random adapter answers something, which the gate says in words."""
    night = spend_night(STARTER, tmp_path, "llama", texts=[(1, 2, 3)], strength=1.0)
    await engine.load_adapter("random", night.adapter)
    corrected = [corrected_to(question) for question in read_unknowable()]
    async with Scorer(engine) as scorer:
        (same,) = await judge_inventions(contest(scorer), [])
        (other,) = await judge_inventions(contest(scorer, "random"), corrected[:2])
        nothing = await judge_inventions(contest(scorer), corrected[FEWEST_ADMITTED - 1 :])

    assert (same.candidate, same.incumbent) == (0.0, 0.0)
    assert same.n >= 40
    assert same.n - 2 <= other.n < same.n
    assert other.candidate > 0.5
    assert nothing == [], "too few are left to say anything"
    assert "makes up what nobody told it" in " ".join(decide([other], (), declared=frozenset(), people=9).reasons)
