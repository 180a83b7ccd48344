"""Markdown becomes Slack's own markup, and no character of it becomes markup by accident."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.delivery.render import escaped_length, render_mrkdwn
from bot.slack.delivery.safety import neutralise
from bot.slack.delivery.split import split_markdown
from bot.slack.text import parse_message

GAP = "\u200b"
REFERENCE = re.compile(r"<(?:[@#][A-Z0-9]+|(?:https?|mailto|tel|slack):[^<>\n]*)>")
SENTENCE = st.lists(
    st.sampled_from(
        [
            "Some",
            "**bold**",
            "_it_",
            "a & b",
            "x < y",
            "`code`",
            "[link](https://a.example/?a=1&b=2)",
            "wo**r**d",
            "日本語",
        ]
    ),
    min_size=1,
    max_size=60,
).map(" ".join)
BLOCK = (
    SENTENCE
    | SENTENCE.map("# {}".format)
    | SENTENCE.map("> {}".format)
    | st.lists(SENTENCE, max_size=8).map(lambda items: "\n".join(f"{'  ' * (n % 3)}- {t}" for n, t in enumerate(items)))
    | st.lists(SENTENCE, max_size=8).map(lambda items: "\n".join(f"{n}. {t}" for n, t in enumerate(items, 1)))
    | st.lists(st.sampled_from(["<div>", "a && b", "x"]), max_size=90).map(lambda ls: "```\n" + "\n".join(ls) + "\n```")
    | st.lists(SENTENCE, max_size=9).map(lambda cs: "| a | b |\n|---|---|\n" + "\n".join(f"| {c} | z |" for c in cs))
)
DOCUMENT = st.lists(BLOCK, min_size=1, max_size=9).map("\n\n".join)
MARKUP = st.lists(
    st.sampled_from([*"*_~`<>&|#[]()!\\-+:. \n\n1ab", "```", "<!here>", "<@U1>", "https://a.example/_b_"]), max_size=60
)


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("", ""),
        ("plain", "plain"),
        ("**bold** *it* _it_ ~~gone~~ `code`", "*bold* _it_ _it_ ~gone~ `code`"),
        ("***both***", "_*both*_"),
        ("**bold with *it* inside**", "*bold with _it_ inside*"),
        ("**over\ntwo lines**", "*over*\n*two lines*"),
        ("wo**r**d, *a*b and `x`s", f"wo{GAP}*r*{GAP}d, _a_{GAP}b and `x`{GAP}s"),
        ("**a**: (*b*), **c**!", "*a*: (_b_), *c*!"),
        ("这是**重点**内容", f"这是{GAP}*重点*{GAP}内容"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("`a < b`", "`a &lt; b`"),
        ("``a ` b``", "`a ˋ b`"),
        ("&lt;b&gt; &amp;amp;", "&lt;b&gt; &amp;amp;"),
        ("<!channel> <b>x</b>", "&lt;!channel&gt; &lt;b&gt;x&lt;/b&gt;"),
        ("<@U1> in <#C1>, `<@U1>`", "<@U1> in <#C1>, `&lt;@U1&gt;`"),
        (r"\*not bold\* and 2 * 3 * 4", "∗not bold∗ and 2 * 3 * 4"),
        (r"\_not it\_ snake_case_name", "ˍnot itˍ snake_case_name"),
        (r"*args and **bold**", "∗args and *bold*"),
        (r"a \` tick", "a ˋ tick"),
        (r"\> not a quote", f"{GAP}&gt; not a quote"),
        ("[docs](https://a.example/?x=1&y=2)", "<https://a.example/?x=1&amp;y=2|docs>"),
        ("[**docs**](https://a.example)", "*<https://a.example|docs>*"),
        ("[a > b | c](https://a.example/x|y)", "<https://a.example/x%7Cy|a &gt; b | c>"),
        ("[https://a.example](https://a.example)", "<https://a.example>"),
        ("<https://a.example>", "<https://a.example>"),
        ("[here](docs/a.md)", "here (docs/a.md)"),
        ("https://a.example/_x_/y?a=1&b, ok", "<https://a.example/_x_/y?a=1&amp;b>, ok"),
        ("(https://a.example/A_(b))", "(<https://a.example/A_(b)>)"),
        ("![alt text](https://a.example/i.png)", "<https://a.example/i.png|alt text>"),
        ("![](https://a.example/i.png)", "<https://a.example/i.png>"),
        ("# Title", "*Title*"),
        ("## A **b** [c](https://a.example)\ntext", "*A b <https://a.example|c>*\ntext"),
        ("Title\n=====\n\ntext", "*Title*\ntext"),
        ("one\ntwo  \nthree\\\nfour", "one\ntwo\nthree\nfour"),
        ("one\n\n\n\ntwo", "one\n\ntwo"),
        ("- a\n- b\n  - c\n    - d\n      - e", "• a\n• b\n    ◦ c\n        ▪ d\n            ▪ e"),
        ("- a\n\n  more\n- b", "• a\n    more\n• b"),
        ("3. c\n4. d\n   - e", "3. c\n4. d\n    ◦ e"),
        ("1. a\n1. b", "1. a\n2. b"),
        ("- [ ] todo\n- [x] **done**", "☐ todo\n☑ *done*"),
        ("1. run\n   ```sh\n   ls\n   ```\n2. look", "1. run\n```\nls\n```\n2. look"),
        ("> quoted\n> more", "> quoted\n> more"),
        ("> a\n>> b", "> a\n>\n> b"),
        ("> a\n> - b", "> a\n>\n> • b"),
        ("> ```\n> x\n> ```", "```\nx\n```"),
        ("```python\nif a < b:\n    pass\n```", "```\nif a &lt; b:\n    pass\n```"),
        ("~~~\n```\n~~~", f"```\n``{GAP}`\n```"),
        ("```\nopen", "```\nopen\n```"),
        ("    indented", "```\nindented\n```"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        (
            "| name | n |\n|---|---|\n| a & b | **1** |\n| 日本 | x |",
            "```\nname   n\n─────  ─\na &amp; b  1\n日本   x\n```",
        ),
        (
            "| name | link |\n|---|---|\n| a | [b](https://a.example) |",
            "*name | link*\na | <https://a.example|b>",
        ),
        ("| " + "w" * 120 + " | n |\n|---|---|\n| a | b |", "*" + "w" * 120 + " | n*\na | b"),
    ],
)
def test_rendered(markdown: str, mrkdwn: str) -> None:
    """Each construct has its counterpart in Slack's markup."""
    assert render_mrkdwn(markdown) == mrkdwn


@settings(max_examples=250, deadline=None)
@given(MARKUP.map("".join) | st.text(max_size=80) | DOCUMENT)
def test_only_references_keep_their_brackets(markdown: str) -> None:
    """Whatever is rendered, every bracket and ampersand that is not ours is escaped."""
    text = render_mrkdwn(markdown)
    rest = REFERENCE.sub("", text)
    quotes = re.sub(r"^>(?: |$)", "", rest, flags=re.MULTILINE)

    assert "<" not in rest
    assert ">" not in quotes
    assert not re.search(r"&(?!amp;|lt;|gt;)", text)
    assert not re.search(r"[\x00-\x08]", text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_literal_text_survives_the_way_to_slack_and_back(text: str) -> None:
    """Text in which every sign is escaped is read back by Slack's rules as the same text, look-alikes aside."""
    markdown = re.sub(r"([!-/:-@[-`{-~])", r"\\\1", text)
    lookalikes = str.maketrans("∗ˍ∼ˋ", "*_~`", GAP)
    read = parse_message({"text": render_mrkdwn(markdown)}, bot_user_id="UBOT", names={})

    assert read.translate(lookalikes) == text.translate(lookalikes)


@settings(max_examples=30, deadline=None)
@given(DOCUMENT, st.integers(2, 8))
def test_parts_of_three_thousand_can_be_edited(markdown: str, times: int) -> None:
    """Split by escaped length at 3,000, every rendered part stays below the 4,000 that an edit may have."""
    for part in split_markdown("\n\n".join([markdown] * times), limit=3000, measure=escaped_length):
        assert len(render_mrkdwn(part)) <= 3900


@settings(max_examples=150, deadline=None)
@given(MARKUP.map("".join))
def test_neutralised_text_notifies_nobody_when_rendered(markdown: str) -> None:
    """Neutralising, then rendering leaves no mention that was not allowed."""
    assert not re.search("<[@!]", render_mrkdwn(neutralise(markdown)))


@pytest.mark.parametrize(
    "piece", ["*", "**a ", "_a", "[", "![", "> ", "- ", "`", "<", "|a", "~a", "https://", "\\*a", "(x"]
)
def test_repetition_costs_no_more_than_its_length(piece: str) -> None:
    """Text made to be slow is not slow."""
    started = time.perf_counter()
    render_mrkdwn(piece * (3_000 // len(piece)))

    assert time.perf_counter() - started < 2
