"""Model output notifies nobody and links only to what somebody had shown, however its stream was cut."""

import re
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.slack.delivery.chunks import AFTER_URL, URL, URL_START, find_urls, normal_url
from bot.slack.delivery.safety import StreamNeutraliser, neutralise

KNOWN = find_urls("look at https://ok.example/page and [this](https://wiki.example/A_(b)) or ok.com")
PARSER = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["html_block", "html_inline"])
JOINER = "\u2060"

PIECES = st.sampled_from(
    [
        *"<>@!#|&;`~[]()\\ \n\n\n*_:/.-1x ",
        "<!channel>",
        "<!here|x>",
        "<!subteam^S1|@team>",
        "<!date^1^{date}^https://evil.example|now>",
        "&lt;!everyone&gt;",
        "&#64;",
        "@here",
        "@Channel",
        "@\u200beveryone",
        "＠hеre",
        "<@U1>",
        "<@U2|ben>",
        "<#C1|ops>",
        "https://evil.example/q?a=1",
        "https://ok.example/page",
        "www.evil.com",
        "evil.com/x",
        "![a](https://evil.example)",
        "[https://ok.com](https://ok.example/page)",
        "[a](https://ok.example/page)",
        "<https://evil.example|a>",
        "<https://ok.example/page>",
        "[1]: https://evil.example",
        "```",
        "```py\n",
        "\n```\n",
        "~~~\n",
        "\n- ",
        "\n> ",
        "\n    ",
        "| `",
        "|-|-|\n",
        "code",
        "hello",
        JOINER,
        "\u200b",
        "é日",
    ]
)
TEXTS = st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=60)
BROADCAST = re.compile(r"<!(channel|here|everyone|group|subteam)", re.IGNORECASE)


def clean(text: str) -> str:
    return neutralise(text, allowed_users=["U1"], known_urls=KNOWN)


def is_known(prose: str) -> bool:
    """Whether every address in the text is a known one with at most punctuation behind it."""
    runs = [match[0] for start in URL_START.finditer(prose) if (match := URL.match(prose, start.start()))]
    return all(
        any(normal_url(run[:end]) in KNOWN for end in range(len(run.rstrip(AFTER_URL)), len(run) + 1)) for run in runs
    )


def inline_tokens(markdown: str) -> list[Token]:
    return [child for token in PARSER.parse(markdown) for child in token.children or []]


@settings(max_examples=600, deadline=None)
@given(TEXTS)
@example("<[!channel](https://evil.com)>")
@example("@[here](https://evil.com)")
@example("x\\https://evil.com`")
@example("@-www.evil.com")
def test_no_output_notifies_or_links(text: str) -> None:
    """No control sequence is left anywhere; what a parser reads as prose has no broadcast, image or unknown address."""
    safe = clean(text)

    assert not BROADCAST.search(safe)
    assert set(re.findall(r"<@([UW]\w+)[>|]", safe)) <= {"U1"}
    for token in inline_tokens(safe):
        assert token.type != "image"
        if token.type == "link_open":
            assert is_known(str(token.attrs["href"]))
        if token.type == "text":
            assert is_known(token.content)
            visible = unicodedata.normalize("NFKC", token.content.replace("\u200b", "")).casefold().replace("е", "e")
            assert not re.search("@(channel|here|everyone)", visible)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_twice_is_once(text: str) -> None:
    """Neutralised text is not changed again."""
    assert clean(clean(text)) == clean(text)


@settings(max_examples=250, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 300), max_size=6))
def test_a_stream_does_not_depend_on_its_cuts(text: str, cuts: list[int]) -> None:
    """However the text is cut, and cut into single characters too, the same characters are sent."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for pieces in ([text[start:end] for start, end in pairwise(edges)], list(text)):
        stream = StreamNeutraliser(allowed_users=["U1"], known_urls=KNOWN)
        sent = [stream.push(piece) for piece in pieces]

        assert "".join(sent) + stream.flush() == clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hi <!channel>, <@U2> and @everyone: [a `b`](https://evil.example/x) <https://ok.example/page|c>.",
        "1. ```py\n   x = '<!here>'\n   ```\n> ```\n> q\nout @here ![i](https://evil.example/?q=1)\n```\nopen",
        "&lt;!here&gt; &#64;here \\`@here` ``a ` b`` | `x|@here` | https://evil.example/a_(b)). www.evil.com, end",
        "~~~ info\n@here\n~~~\n[1]: https://evil.example\n\n<!subteam^S1|@t> <!date^1^{d}|now> <a@b.example> - - ```",
    ],
)
def test_every_pair_of_cuts(text: str) -> None:
    """Cut in two at any offset, and in three at any two near offsets, a stream sends the same characters."""
    whole = clean(text)
    for first in range(len(text) + 1):
        for second in range(first, min(first + 12, len(text) + 1)):
            stream = StreamNeutraliser(allowed_users=["U1"], known_urls=KNOWN)
            sent = [stream.push(piece) for piece in (text[:first], text[first:second], text[second:])]

            assert "".join(sent) + stream.flush() == whole


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_little_is_held_back(text: str) -> None:
    """At any time no more than about two hundred characters wait, addresses apart."""
    stream = StreamNeutraliser()
    for position, character in enumerate(text):
        stream.push(character)
        waiting = len(stream._held)

        assert waiting <= 210 or "://" in text[: position + 1] or "](" in text


def test_plain_prose_flows_word_by_word() -> None:
    """Of ordinary prose only the word being written is held back."""
    stream = StreamNeutraliser()
    sent = ""
    for character in "Plain words, and more of them; 3 * 4 (twice).\n\nNext: a paragraph - with `code` here.":
        sent += stream.push(character)
        assert len(stream._held) <= 14

    assert sent.endswith("code` ")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain *text* & more, 2 < 3", "plain *text* & more, 2 < 3"),
        ("<!channel> <!HERE> <!everyone|all>", f"@{JOINER}channel @{JOINER}HERE @{JOINER}all"),
        ("<\u200b!here> &lt;!here&gt;", f"@{JOINER}here @{JOINER}here"),
        ("<!subteam^S1|@team> <!subteam^S2>", f"@{JOINER}team @{JOINER}S2"),
        ("<!channel", f"<{JOINER}!channel"),
        ("<!date^1^{date}^https://evil.example|Feb 18>", "Feb 18"),
        ("<!-- note -->", f"<{JOINER}!-- note -->"),
        ("@here @Channel ＠everyone", f"@{JOINER}here @{JOINER}Channel ＠{JOINER}everyone"),
        ("@Ana, a@b.com, @property", "@Ana, a@b.com, @property"),
        ("<@U1> <@U1|ana> <@U2> <@U2|ben>", f"<@U1> <@U1> @{JOINER}U2 @{JOINER}ben"),
        ("&lt;@U1&gt;", f"@{JOINER}U1"),
        ("<#C1|ops> <#C1>", "<#C1> <#C1>"),
        ("&#64;here &commat;here it&#39;s &lt;b&gt;", f"&{JOINER}#64;here &{JOINER}commat;here it&#39;s &lt;b&gt;"),
        ("[a](https://ok.example/page)", "[a](https://ok.example/page)"),
        ("[a](https://evil.example/x)", "a (`https://evil.example/x`)"),
        ("[a](https://ok.example/page?q=secret)", "a (`https://ok.example/page?q=secret`)"),
        ("[https://ok.com](https://ok.example/page)", "https://ok.com (<https://ok.example/page>)"),
        ("[w](https://wiki.example/A_(b))", "[w](https://wiki.example/A_(b))"),
        ("<https://ok.example/page|label>", "[label](https://ok.example/page)"),
        ("<https://ok.example/page>", "<https://ok.example/page>"),
        ("<https://evil.example>", "`https://evil.example`"),
        ("![plan](https://ok.example/page)", "[plan](https://ok.example/page)"),
        ("![](https://evil.example/?q=1)", "`https://evil.example/?q=1`"),
        ("See https://ok.example/page.", "See https://ok.example/page."),
        ("**https://ok.example/page**", "**https://ok.example/page**"),
        ("(https://evil.example/x), ok.com", "(`https://evil.example/x`), ok.com"),
        ("main.py, README.md, e.g. 3.5 and a.b.c", "main.py, README.md, e.g. 3.5 and a.b.c"),
        ("javascript:alert(1)", "`javascript:alert(1`)"),
        ("f[0](x), [ ] task, [a][b]", f"f[0]{JOINER}(x), [ ] task, [a][b]"),
        ("[1]: https://evil.example", f"[1]{JOINER}: `https://evil.example`"),
        ("`@here https://evil.example <!DOCTYPE>`", "`@here https://evil.example <!DOCTYPE>`"),
        ("`<!here> <@U2> <@U1>`", f"`<{JOINER}!here> <{JOINER}@U2> <@U1>`"),
        ("```html\n<!-- @here -->\n<!DOCTYPE>\n```", "```html\n<!-- @here -->\n<!DOCTYPE>\n```"),
        ("```\n<!channel>", f"```\n<{JOINER}!channel>\n```"),
        ("```\nopen @here", "```\nopen @here\n```"),
        ("- a\n  ```sh\n  ls\n    -l\n  ```\n@here", f"- a\n```sh\nls\n  -l\n```\n@{JOINER}here"),
        ("> ```\n> code\n@here", f"```\ncode\n```\n@{JOINER}here"),
        ("a stray ` tick @here", f"a stray ˋ tick @{JOINER}here"),
        ("\\`@here`", f"ˋ@{JOINER}hereˋ"),
        ("a\x00\u202eb", "ab"),
    ],
)
def test_neutralised(text: str, safe: str) -> None:
    """What would notify, link or load becomes text; everything else stays."""
    assert clean(text) == safe


def test_nothing_is_known_unless_told() -> None:
    """Without known addresses and allowed users no link and no mention is left."""
    assert neutralise("[a](https://ok.example/page) <@U1>") == f"a (`https://ok.example/page`) @{JOINER}U1"


@pytest.mark.parametrize(
    "piece", ["`", "[", "<", "@\u200b", "&", "a.", "](", "<!", "```\n", "> ", "~", "https://", "x`y "]
)
def test_repetition_costs_no_more_than_its_length(piece: str) -> None:
    """Text made to be slow is not slow."""
    started = time.perf_counter()
    clean(piece * (12_000 // len(piece)))

    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("see https://A.example/Page/.", {"a.example/Page"}),
        ("[x](https://a.example/b_(c)) <https://d.example|e>", {"a.example/b_(c)", "d.example"}),
        ("(http://a.example/x) and mail.com, main.py", {"a.example/x", "mail.com"}),
        ("nothing here", set()),
    ],
)
def test_visible_addresses(text: str, urls: set[str]) -> None:
    """Addresses are found in prose, links and brackets, and compared without scheme and case of the host."""
    assert urls <= find_urls(text)
    assert all(any(found.startswith(url[:9]) for url in urls) for found in find_urls(text))


def test_of_a_long_address_only_the_beginning_is_shown() -> None:
    """What an unknown address would carry away is not even shown in full."""
    safe = clean("https://evil.example/?q=" + "x" * 1500)

    assert safe.startswith("`https://evil.example/?q=xxx")
    assert safe.endswith("…`")
    assert len(safe) < 160
