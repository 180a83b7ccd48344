"""Long Markdown is cut into parts that stand alone, lose nothing and stay put while the text grows."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.slack.delivery.split import split_markdown

PARSER = MarkdownIt("commonmark").enable("table")
WORDS = st.sampled_from(
    ["so", "**bold one**", "`a b`", "[a link](https://a.b/c)", "Ende.", "naïve", "日本語。", "👩‍👩‍👧", "x" * 30]
)
SENTENCE = st.lists(WORDS, min_size=1, max_size=25).map(" ".join)
CODE = st.lists(st.sampled_from(["", "x = 1", "    return y", "# " + "long " * 12, "| a |", "- b"]), max_size=12).map(
    "\n".join
)


def bullets(texts: list[str]) -> str:
    return "\n".join(f"{'    ' * (number % 3)}- {text}" for number, text in enumerate(texts))


def numbered(texts: list[str]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))


def table(texts: list[str]) -> str:
    return "| head | more |\n|---|---|\n" + "\n".join(f"| {text[:20].replace('|', '')} | z |" for text in texts)


TEXTS = st.lists(SENTENCE, min_size=1, max_size=6)
BLOCKS = (
    SENTENCE
    | SENTENCE.map("## {}".format)
    | TEXTS.map(bullets)
    | TEXTS.map(numbered)
    | TEXTS.map(table)
    | SENTENCE.map("> {}".format)
    | CODE.map("```python\n{}\n```".format)
    | CODE.map("~~~~\n{}\n~~~~".format)
)
DOCUMENTS = st.lists(BLOCKS, min_size=1, max_size=6).map("\n\n".join)
MARKUP = st.lists(
    st.sampled_from([*"ab #>|*_-`~[]()<&.\n\n\r\t2é👍", "```", "~~~", "    ", "\u0301", "- ", "|-|-|\n"]), max_size=250
)
ANYTHING = DOCUMENTS | MARKUP.map("".join) | st.text(max_size=300)
LIMITS = st.integers(min_value=40, max_value=200)


def squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)


def undo(part: str) -> Iterator[str]:
    """Every way to take back what a cut may have added to a part: a closing fence, an opening line, a table's head."""
    fence = re.compile(r"[\s>]*(`{3,}|~{3,}).*")
    lines = part.split("\n")
    ends = [len(lines)] + ([len(lines) - 1] if fence.fullmatch(lines[-1]) else [])
    for end in ends:
        for start in range(min(3, end + 1)):
            if start != 1 or fence.fullmatch(lines[0]):
                body = squeeze("\n".join(lines[start:end]))
                yield body
                yield body.lstrip(">")


def is_whole(parts: list[str], source: str) -> bool:
    """Whether the parts, additions taken back, are the source and nothing else."""
    reached = {0}
    for part in parts:
        reached = {at + len(body) for at in reached for body in undo(part) if source.startswith(body, at)}
    return len(source) in reached


@settings(max_examples=200, deadline=None)
@given(ANYTHING, LIMITS)
def test_parts_fit_and_nothing_is_lost(markdown: str, limit: int) -> None:
    """Every part keeps the limit, and the parts together are the text, apart from blanks at the cuts."""
    source = re.sub(r"^(\s*)1([.)]\s)", r"\1x\2", markdown, flags=re.MULTILINE)
    parts = split_markdown(source, limit=limit)

    assert all(part.strip() and len(part) <= limit for part in parts)
    assert is_whole(parts, squeeze(source))


@settings(max_examples=200, deadline=None)
@given(ANYTHING, LIMITS, st.data())
def test_earlier_parts_stay_while_the_text_grows(markdown: str, limit: int, data: st.DataObject) -> None:
    """A longer text has all parts of its beginning but the last."""
    now = split_markdown(markdown[: data.draw(st.integers(0, len(markdown)))], limit=limit)
    later = split_markdown(markdown, limit=limit)

    assert now[:-1] == later[: max(0, len(now) - 1)]


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, st.integers(min_value=90, max_value=300))
def test_code_stays_code(markdown: str, limit: int) -> None:
    """What a Markdown parser reads as code is the same before and after the cuts."""
    parts = split_markdown(markdown, limit=limit)

    def code(text: str) -> str:
        return squeeze("".join(token.content for token in PARSER.parse(text) if token.type == "fence"))

    assert "".join(map(code, parts)) == code(markdown)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["e\u0301\u0323", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "한", "각", "1\ufe0f\u20e3", "a"]), max_size=150
    ),
    LIMITS,
)
def test_characters_are_never_torn(clusters: list[str], limit: int) -> None:
    """A character of several code points lies in one part."""
    parts = split_markdown("".join(clusters), limit=limit)

    assert all(re.fullmatch("|".join(["(?:" + "|".join(map(re.escape, clusters)) + ")+"]), part) for part in parts)
    assert "".join(parts) == "".join(clusters)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, LIMITS)
def test_another_measure_is_kept(markdown: str, limit: int) -> None:
    """The limit holds in the caller's measure, here that of escaped text."""

    def measure(text: str) -> int:
        return len(text) + 3 * text.count("*") + 2 * text.count("x")

    assert all(measure(part) <= limit for part in split_markdown(markdown, limit=limit, measure=measure))


@pytest.mark.parametrize(
    ("markdown", "parts"),
    [
        ("", []),
        (" \n\n", []),
        ("short", ["short"]),
        ("First paragraph here.\n\nSecond paragraph there.", ["First paragraph here.", "Second paragraph there."]),
        ("One sentence is here. Another follows it now.", ["One sentence is here.", "Another follows it now."]),
        ("no sentence ends in these words but they are many", ["no sentence ends in these words but", "they are many"]),
        ("x" * 50, ["x" * 40, "x" * 10]),
        (
            "Words first, then a [link with words](https://a.b)",
            ["Words first, then a", "[link with words](https://a.b)"],
        ),
        ("Words come first here, and **then bold words**", ["Words come first here, and", "**then bold words**"]),
        (
            "```py\nfirst = 1\nsecond = 2\nthird = 3\nfourth = 4\n```",
            ["```py\nfirst = 1\nsecond = 2\nthird = 3\n```", "```py\nfourth = 4\n```"],
        ),
        ("Text before it.\n\n```\n" + "y" * 25 + "\n```", ["Text before it.", "```\n" + "y" * 25 + "\n```"]),
        (
            "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n",
            ["| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"],
        ),
        (
            "|a|b|\n|-|-|\n| one | two |\n| three | four |\n",
            ["|a|b|\n|-|-|\n| one | two |", "|a|b|\n|-|-|\n| three | four |"],
        ),
        (
            "1. the first\n1. the second\n1. the third\n1. the fourth",
            ["1. the first\n2. the second", "3. the third\n4. the fourth"],
        ),
        (
            "- the outer item\n    - the inner one\n    - the inner two\n- outer",
            ["- the outer item\n    - the inner one", "- the inner two\n- outer"],
        ),
        ("> quoted words that do not end in forty", ["> quoted words that do not end in forty"]),
        ("> quoted words that do not end at forty yet", ["> quoted words that do not end at forty", "> yet"]),
        ("Some words to begin.\n\n# A heading\n\nIts text", ["Some words to begin.", "# A heading\n\nIts text"]),
    ],
)
def test_cuts_at_the_best_edge(markdown: str, parts: list[str]) -> None:
    """With forty characters a part, cuts fall between blocks, items, rows, lines, sentences, words, in that order."""
    assert split_markdown(markdown, limit=40) == parts


def test_code_in_a_list_is_reopened_at_the_margin() -> None:
    """A fence below a list item is code in the next part too, not an indented block with stray backticks."""
    lines = "\n".join(f"        line_{number} = {number}" for number in range(6))
    first, *others = split_markdown(f"- a\n    - b\n\n        ```py\n{lines}\n        ```\n- c", limit=80)

    assert first.endswith("\n        ```")
    assert others[0].startswith("```py\nline_")
    assert others[-1].endswith("\n```\n- c")


def test_a_small_limit_is_refused() -> None:
    """A limit that leaves no room for reopened code is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least 40"):
        split_markdown("text", limit=10)
