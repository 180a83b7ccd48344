"""Cases on which prompts are tried: how they are read, what the model is asked, what counts as a difference."""

from pathlib import Path

import pytest

from bot.conversation.prompt_book import PromptBook
from bot.conversation.prompt_trial import Accepted, Case, Outcome, build_trial, load_cases
from bot.errors import PromptError
from bot.shipped import shipped


def test_the_shipped_cases_can_be_read() -> None:
    """What `bot prompts test` runs by itself is in order."""
    book = PromptBook(shipped("prompts"))

    assert all(build_trial(book, case) for case in load_cases(book.cases()))


def test_cases_stand_in_toml_or_jsonl(tmp_path: Path) -> None:
    """Both say the same."""
    toml, jsonl = tmp_path / "cases.toml", tmp_path / "cases.jsonl"
    toml.write_text('[[case]]\nname = "a"\nquestion = "hi"\n')
    jsonl.write_text('{"name": "a", "question": "hi"}\n\n')

    assert load_cases(toml) == load_cases(jsonl) == [Case(name="a", question="hi")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[case]]\nname = "a"\n', "no question"),
        ('[[case]]\nname = "a"\nquestion = "x"\nanser = "y"\n', "anser"),
        ('[[case]]\nquestion = "x"\n', "name"),
        ('[[case]]\nname = "a"\nquestion = "x"\n[[case]]\nname = "a"\nquestion = "y"\n', "twice"),
        ("", "no case"),
        ("[[case", "cannot be read"),
    ],
)
def test_a_wrong_case_is_named(tmp_path: Path, text: str, said: str) -> None:
    """The sentence says which case and what is wrong with it."""
    path = tmp_path / "cases.toml"
    path.write_text(text)

    with pytest.raises(PromptError, match=said):
        load_cases(path)


def test_a_prompt_of_another_name_is_filled_in(tmp_path: Path) -> None:
    """What a command tells the model can be tried as well, with its values."""
    (tmp_path / "system.md").write_text("---\nvariables: today\n---\n{{ today }}")
    (tmp_path / "summary.md").write_text("---\nvariables: thread\n---\nSum up: {{ thread }}")
    book = PromptBook(tmp_path)
    messages, version = build_trial(book, Case(name="a", prompt="summary", values={"thread": "we met"}))

    assert messages == [{"role": "user", "content": "Sum up: we met"}]
    assert version == book.get("summary").version
    with pytest.raises(PromptError, match="thread"):
        build_trial(book, Case(name="a", prompt="summary"))
    with pytest.raises(PromptError, match="no persona"):
        build_trial(book, Case(name="a", question="x", persona="nobody"))


def test_what_was_accepted_is_compared(tmp_path: Path) -> None:
    """A new answer is told from a changed one, and accepting makes both the same."""
    cases = tmp_path / "cases.toml"
    Accepted.beside(cases).write([Outcome("a", "one\ntwo", "v1", None)])
    accepted = Accepted.beside(cases).answers

    same = Outcome("a", "one\ntwo", "v2", accepted.get("a"))
    changed = Outcome("a", "one\nthree", "v2", accepted.get("a"))
    assert same.is_same
    assert not changed.is_same
    assert [line for line in changed.diff() if line[0] in "+-"][2:] == ["-two", "+three"]
    assert not Outcome("b", "x", "v2", accepted.get("b")).is_same
