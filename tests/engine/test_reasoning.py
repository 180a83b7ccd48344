"""Reasoning is told from the answer token by token, wherever the tokens are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.text_stream import TextStream
from bot.engine.types import Reasoning

THINK = Reasoning("<think>", "</think>")
OPEN = Reasoning("<think>", "</think>", is_open=True)
HARMONY = Reasoning("<|channel|>", "<|message|>")
CASES = [
    (THINK, "<think>\nhm</think>\n\nYes.", "\nhm", "Yes."),
    (THINK, " \n<think>a < b </thin</think>Yes </think>.", "a < b </thin", "Yes </think>."),
    (THINK, "Yes, <think>that</think>.", "", "Yes, <think>that</think>."),
    (THINK, "  <thing>", "", "  <thing>"),
    (THINK, "<thi", "", "<thi"),
    (THINK, "<think>never ends</thi", "never ends</thi", ""),
    (THINK, "<think>a</think>\n ", "a", ""),
    (OPEN, "hm\n</think>\n\n Yes", "hm\n", "Yes"),
    (OPEN, "</think>Yes", "", "Yes"),
]


def read(stream: TextStream, pieces: list[str]) -> tuple[str, str]:
    """Return the reasoning and the answer that *stream* makes of *pieces*."""
    thoughts = text = ""
    for piece in pieces:
        text += stream.push(piece.encode())
        thoughts += stream.take_reasoning()
        if stream.is_stopped:
            return thoughts, text
    text += stream.finish()
    return thoughts + stream.take_reasoning(), text


@pytest.mark.parametrize(("form", "whole", "thoughts", "text"), CASES)
def test_reasoning_is_no_part_of_the_answer(form: Reasoning, whole: str, thoughts: str, text: str) -> None:
    """Tags at the beginning count, in one piece or letter by letter; an unfinished thought is no answer."""
    assert read(TextStream((), form), [whole]) == (thoughts, text)
    assert read(TextStream((), form), list(whole)) == (thoughts, text)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "think", " ", "\n", "a"])).map("".join),
    st.integers(1, 9),
)
def test_how_the_text_is_cut_changes_nothing(whole: str, size: int) -> None:
    """Any text gives the same reasoning and the same answer in pieces as at once, and loses only tags and space."""
    for form in (THINK, OPEN):
        pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
        thoughts, text = read(TextStream((), form), [whole])
        assert read(TextStream((), form), pieces) == (thoughts, text)
        assert thoughts in whole
        assert text in whole


def test_stop_strings_look_at_the_answer_only() -> None:
    """A stop string inside the reasoning ends nothing; in the answer it does, and is named."""
    stream = TextStream(("END",), THINK)

    assert read(stream, ["<think>the E", "ND is near</think>", "Yes E", "ND no"]) == ("the END is near", "Yes ")
    assert stream.stop_reason == "END"


def test_channels_are_told_apart() -> None:
    """What gpt-oss writes: analysis, a preamble, and the final answer; a call keeps its name and arguments."""
    marks = ["<|channel|>", "analysis", "<|message|>", "hm ", "hm", "<|end|>", "<|start|>", "assistant"]
    final = ["<|channel|>", "final", "<|message|>", "Yes", "."]
    call = ["<|channel|>", "commentary to=functions.add ", "<|constrain|>", "json", "<|message|>", '{"a":', "1}"]

    assert read(TextStream((), HARMONY), [*marks, *final]) == ("hm hm", "Yes.")
    assert read(TextStream((), HARMONY), [*marks, *call]) == ("hm hm", '<|start|>functions.add<|message|>{"a":1}')
    assert read(TextStream((), HARMONY), ["Yes", "."]) == ("", "Yes.")
    assert read(TextStream((), HARMONY), marks[:4]) == ("hm ", "")
