"""What the shipped file says: a held-out sample stays above a floor, and the demo's own questions are answered."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from starter.chats import Exchange
from starter.evaluate import Speaker, build_cases, is_right, overlap, render_table, run_cases, share

FILE = Path(__file__).parents[2] / "bot" / "models" / "starter.gguf"
SYSTEM = {
    "role": "system",
    "content": "You are Apprentice, the assistant of this team. Answer briefly and helpfully, in Markdown.\n"
    "Today is Monday, 2 March 2026.",
}
FLOOR = 0.55  # the card has the whole table; this catches a file that is broken or of another recipe


@pytest.fixture(scope="module")
def speaker() -> Iterator[Speaker]:
    with closing(Speaker(FILE)) as speaker:
        yield speaker


def test_held_out_sample_is_above_the_floor(speaker: Speaker) -> None:
    """Of unseen wordings with unseen names, most are answered right."""
    results = list(run_cases(speaker, build_cases(per_kind=4, seed=21)))
    assert len(results) >= 100
    assert share(results) >= FLOOR, render_table(results)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (["Hello!"], "help you"),
        (["Who are you?"], "I am Apprentice"),
        (["What is a sprint?"], "two weeks"),
        (["How do I undo the last commit in git?"], "git reset --soft HEAD~1"),
        (["Write a meeting agenda"], "1. "),
        (["My name is Zorana", "What is my name?"], "Zorana"),
        (["We call the project Bluefin.", "What is an API?", "What did I call the project?"], "Bluefin"),
        (["Who owns the billing service?"], "do not know"),
        (["Make an agenda for a 30 minute team meeting."], "Agenda"),
    ],
)
def test_demo_questions(speaker: Speaker, turns: list[str], expected: str) -> None:
    """The questions that the demo shows get the answers that it promises."""
    messages = [SYSTEM]
    for turn in turns:
        messages.append({"role": "user", "content": turn})
        messages.append({"role": "assistant", "content": speaker.answer(tuple(messages))})
    assert expected in messages[-1]["content"]


@pytest.mark.parametrize(
    ("answer", "right"),
    [("Your name is Ada.", True), ("your name is ADA", True), ("Your name is Ed.", False), ("", False)],
)
def test_is_right_asks_for_what_is_expected(answer: str, right: bool) -> None:
    """A right answer contains every expected part, in any case."""
    assert is_right(answer, Exchange("memory", "", "Your name is Ada.", ("Ada",))) is right


@pytest.mark.parametrize(
    ("left", "right", "value"),
    [("a b c", "a b c", 1.0), ("a b", "c d", 0.0), ("", "a", 0.0), ("a b c d", "a b", 2 / 3)],
)
def test_overlap(left: str, right: str, value: float) -> None:
    """The overlap is the F1 of the words."""
    assert overlap(left, right) == pytest.approx(value)
