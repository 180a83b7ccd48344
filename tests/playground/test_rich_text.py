"""What people type, as Slack's text and rich_text."""

import html
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.playground.rich_text import build_blocks, encode_typed


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("a & b < c > d", "a &amp; b &lt; c &gt; d"),
        ("hi <@U0MAYA>", "hi <@U0MAYA>"),
        ("see <#C0GENERAL|general>!", "see <#C0GENERAL|general>!"),
        ("<!here> now", "<!here> now"),
        ("<script>", "&lt;script&gt;"),
        ("https://x.org/?a=1&b=2.", "<https://x.org/?a=1&amp;b=2>."),
        ("(http://x.org)", "(<http://x.org>)"),
    ],
)
def test_text_is_escaped(typed: str, text: str) -> None:
    """Only the three reserved characters change; mentions stay, links get brackets."""
    assert encode_typed(typed) == text


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters=":"), max_size=200))
def test_nothing_is_lost_by_escaping(typed: str) -> None:
    """Without links and mentions, unescaping gives back what was typed."""
    encoded = encode_typed(typed)
    if "<" not in encoded:
        assert html.unescape(encoded.replace("&amp;", "&amp;")) == html.unescape(html.escape(typed, quote=False))
        assert encoded.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == typed


@given(st.text(max_size=200))
def test_every_text_has_blocks(typed: str) -> None:
    """Any text becomes at most one rich_text block whose parts are Slack's."""
    for block in build_blocks(typed):
        assert block["type"] == "rich_text"
        assert {part["type"] for part in block["elements"]} <= {
            "rich_text_section",
            "rich_text_list",
            "rich_text_quote",
            "rich_text_preformatted",
        }


@pytest.mark.parametrize(
    ("typed", "elements"),
    [
        (
            "*b* _i_ ~s~ `c`",
            [("b", "bold"), (" ", None), ("i", "italic"), (" ", None), ("s", "strike"), (" ", None), ("c", "code")],
        ),
        ("snake_case_name 2*3*4", [("snake_case_name 2*3*4", None)]),
    ],
)
def test_styles(typed: str, elements: list[tuple[str, str | None]]) -> None:
    """Marks count at the edges of words, not inside them."""
    (section,) = build_blocks(typed)[0]["elements"]
    assert [(part["text"], next(iter(part.get("style", {})), None)) for part in section["elements"]] == elements


def test_lists_quotes_and_code() -> None:
    """Lines group into what they look like; code keeps its lines."""
    typed = "Look:\n- one\n- two\n1. first\n> said\n```\nx = 1\ny = 2\n```\nend <@U0TOM> :smile:"
    parts: list[dict[str, Any]] = build_blocks(typed)[0]["elements"]
    assert [(part["type"], part.get("style")) for part in parts] == [
        ("rich_text_section", None),
        ("rich_text_list", "bullet"),
        ("rich_text_list", "ordered"),
        ("rich_text_quote", None),
        ("rich_text_preformatted", None),
        ("rich_text_section", None),
    ]
    assert len(parts[1]["elements"]) == 2
    assert parts[4]["elements"][0]["text"] == "x = 1\ny = 2"
    assert [part["type"] for part in parts[5]["elements"]] == ["text", "user", "text", "emoji"]
