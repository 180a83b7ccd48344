"""Text that streams out in pieces says what the whole says."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.text_stream import TextStream


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at places, wherever they fall."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(text=st.text(), places=st.lists(st.integers(0, 200)))
def test_cuts_do_not_show(text: str, places: list[int]) -> None:
    """However the bytes are cut, the text arrives whole and no piece has half a character."""
    stream = TextStream()

    pieces = [stream.push(part) for part in cut(text.encode(errors="replace"), places)]

    assert "".join(pieces) + stream.finish() == text.encode(errors="replace").decode()
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in text


@given(
    text=st.text("ab ", max_size=30),
    stops=st.lists(st.text("ab ", min_size=1, max_size=4), max_size=3),
    places=st.lists(st.integers(0, 30)),
)
def test_nothing_of_a_stop_string_shows(text: str, stops: list[str], places: list[int]) -> None:
    """The text ends before the first stop string, and no piece ever had to be taken back."""
    stream, shown = TextStream(tuple(stops)), ""

    for byte in cut(text.encode(), [*places, *range(31)]):
        shown += stream.push(byte)
        if stream.is_stopped:
            break
    shown += stream.finish()

    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if ends:
        whole = text[: min(ends)]
        assert any(shown + stop == whole for stop in stops)
    else:
        assert shown == text


@pytest.mark.parametrize("data", [b"\xff\xfe", b"ok\xf0\x9f", b"\xc3"])
def test_broken_bytes_become_marks(data: bytes) -> None:
    """Bytes that are no text at the end are shown as replacement marks, not lost and not raised."""
    stream = TextStream()

    assert "\ufffd" in stream.push(data) + stream.finish()
