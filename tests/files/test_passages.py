"""Which parts of a long file are read: those that the question is about, by measure."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.files.passages import Passage, Ruler, join_passages, rank, read_terms, split_passages

DOCS = Path(__file__).parent.parent.parent / "docs"
ROOM = 4  # passages that fit beside a question


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab \n日,.", max_size=3000), st.integers(min_value=20, max_value=300))
def test_passages_are_the_text(text: str, size: int) -> None:
    """Nothing is lost, nothing doubled, and none is longer than asked."""
    passages = split_passages(text, size=size)

    assert "".join(text[passage.start : passage.end] for passage in passages) == text
    assert all(0 < passage.end - passage.start <= size for passage in passages)


def test_the_parts_that_matter_are_found() -> None:
    """Asked with a section's heading, its passage is among the first four; the beginning of the file seldom is.

    The measure is our own documentation: hundreds of headings whose text says where the answer stands.
    """
    found, first, asked = 0, 0, 0
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text()
        passages = split_passages(text)
        if len(passages) <= ROOM:
            continue
        texts = [text[passage.start : passage.end] for passage in passages]
        for heading in re.finditer(r"^#{2,3} (.+)$", text, re.MULTILINE):
            wanted = {number for number, one in enumerate(passages) if one.start <= heading.end() + 1 < one.end}
            ranked = rank(texts, f"What does it say about {heading[1]}?")
            asked += 1
            found += bool(wanted & set(ranked[:ROOM]))
            first += bool(wanted & set(range(ROOM)))

    assert asked >= 40
    assert found / asked > 0.8
    assert first / asked < 0.4


def test_without_a_hint_the_whole_is_sampled() -> None:
    """No word of the text is in "summarise this": first, last and middle are read before their neighbours."""
    ranked = rank([f"alpha beta number{number}" for number in range(9)], "please summarise")
    assert ranked[:3] == [0, 8, 4]
    assert sorted(ranked) == list(range(9))


def test_other_scripts_are_compared_too() -> None:
    """Chinese has no blanks between words."""
    texts = ["会议在周三举行。", "打印机在三楼。", "午餐十二点开始。"]
    assert rank(texts, "打印机在哪里?")[0] == 1
    assert list(read_terms("Meetings met")) == ["meeting", "met"]


def test_neighbours_are_joined_and_named() -> None:
    """Ranges are told in the lines or pages that a reader can find again."""
    text = "".join(f"line {number}\n" for number in range(1, 11))
    joined = join_passages([Passage(14, 21), Passage(0, 7), Passage(7, 14), Passage(49, 56)])

    assert joined == [Passage(0, 21), Passage(49, 56)]
    assert [Ruler(text, []).span(passage) for passage in joined] == [(1, 3), (8, 8)]
    assert Ruler(text, []).count == 10
    assert [Ruler(text, [0, 20, 40]).span(passage) for passage in joined] == [(1, 2), (3, 3)]
