"""Slack's message events become the Markdown a language model reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.delivery.chunks import find_urls
from bot.slack.text import has_mention, mentioned_users, parse_message

NAMES = {"U0BOT": "Apprentice", "U1ANA": "Ana", "U2BEN": "Ben"}
PAYLOADS = sorted((Path(__file__).parent / "payloads").glob("*.json"))


def parse(event: dict[str, Any]) -> str:
    return parse_message(event, bot_user_id="U0BOT", names=NAMES)


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"blocks": [{"type": "rich_text", "elements": list(elements)}]}


def section(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


@pytest.mark.parametrize("path", PAYLOADS, ids=[path.stem for path in PAYLOADS])
def test_payloads_read_as_markdown(path: Path) -> None:
    """Events in the shapes Slack sends give exactly the Markdown written beside them."""
    payload = json.loads(path.read_text(encoding="utf-8"))

    assert parse(payload["event"]) == payload["markdown"]


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("hello", "hello"),
        ("*bold* _it_ ~gone~", "**bold** _it_ ~~gone~~"),
        ("2*3*4 and a * b * c, *.py", "2*3*4 and a * b * c, *.py"),
        ("*two words*, (*yes*)!", "**two words**, (**yes**)!"),
        ("already **bold** stays", "already **bold** stays"),
        ("~5 or ~6 minutes", "~5 or ~6 minutes"),
        ("`*not bold*` *bold*", "`*not bold*` **bold**"),
        ("```*x* &lt;b&gt;```", "```*x* <b>```"),
        ("```def f():\n  *x*```", "```\ndef f():\n  *x*\n```"),
        ("```\na\n\n\n\nb  \n```", "```\na\n\n\n\nb  \n```"),
        ("a\n\n\n\n\nb   \nc", "a\n\nb\nc"),
        ("<https://a.b/c_d_e|the *docs*>", "[the *docs*](https://a.b/c_d_e)"),
        ("<https://a.b/x_y_z>", "https://a.b/x_y_z"),
        ("<https://a.b/x_(y)|z>", "[z](<https://a.b/x_(y)>)"),
        ("<http://example.com|example.com>", "example.com"),
        ("<https://evil.example|https://bank.example>", "[https://bank.example](https://evil.example)"),
        ("<mailto:a@b.c|a@b.c> <tel:+49123|+49123>", "a@b.c +49123"),
        ("`<https://a.b|a.b>` `<https://c.d>`", "`a.b` `https://c.d`"),
        ("<@U1ANA> and <@U9NEW|neo> and <@U8>", "@Ana and @neo and @U8"),
        ("<#C1|general> <#C2|> <#C3>", "#general #C2 #C3"),
        ("<!here> <!channel|channel> <!everyone>", "@here @channel @everyone"),
        ("<!subteam^S1|@team> <!subteam^S2>", "@team @S2"),
        ("<!date^1392734382^{date}|Feb 18, 2014>", "Feb 18, 2014"),
        ("<!date^1392734382^{date}^https://a.b|Feb 18>", "Feb 18"),
        ("&lt; &gt; &amp; &amp;lt; &amp;amp; &quot;", "< > & &lt; &amp; &quot;"),
        ("&lt;@U1ANA&gt; is text", "<@U1ANA> is text"),
        ("&gt; quoted\nnot", "> quoted\nnot"),
        ("&gt;&gt;&gt; all\nof it", "> all\n> of it"),
        ("• one\n    ◦ two", "- one\n    - two"),
        ("a\u00a0b\x00\x07c\u202ed\U000e0041", "a bcd"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("broken \ud83d half", "broken  half"),
        ("a < b > c, <>", "a < b > c, <>"),
        ("<@U0BOT> hi", "hi"),
        ("<@U0BOT>: hi", "hi"),
        ("<@U0BOT>, <@U0BOT> hi", "hi"),
        ("  <@U0BOT>\nhi", "hi"),
        ("hi <@U0BOT> there", "hi @Apprentice there"),
        ("<@U0BOT> what is <@U0BOT|apprentice>?", "what is @Apprentice?"),
        ("<@U0BOT>", ""),
        ("", ""),
    ],
)
def test_mrkdwn_reads_as_markdown(text: str, markdown: str) -> None:
    """A message without blocks is converted from Slack's own markup."""
    assert parse({"text": text}) == markdown


@pytest.mark.parametrize(
    ("element", "markdown"),
    [
        ({"type": "text", "text": " hi ", "style": {"bold": True, "italic": True}}, "**_hi_**"),
        ({"type": "text", "text": "gone", "style": {"strike": True}}, "~~gone~~"),
        ({"type": "text", "text": "a`b", "style": {"code": True}}, "``a`b``"),
        ({"type": "text", "text": "  ", "style": {"bold": True}}, ""),
        ({"type": "link", "url": "https://a.b"}, "https://a.b"),
        ({"type": "link", "url": "https://a.b", "text": "x]y", "style": {"bold": True}}, "**[x\\]y](https://a.b)**"),
        ({"type": "user", "user_id": "U1ANA", "style": {"bold": True}}, "@Ana"),
        ({"type": "usergroup", "usergroup_id": "S1"}, "@S1"),
        ({"type": "channel", "channel_id": "C1"}, "#C1"),
        ({"type": "broadcast", "range": "here"}, "@here"),
        ({"type": "emoji", "name": "wave", "unicode": "1f44b-1f3fd"}, "👋🏽"),
        ({"type": "emoji", "name": "party-parrot"}, ":party-parrot:"),
        ({"type": "emoji", "name": "x", "unicode": "d800"}, ":x:"),
        ({"type": "date", "timestamp": 1720710212, "format": "{date}", "fallback": "July 11"}, "July 11"),
        ({"type": "color", "value": "#F405B3"}, "#F405B3"),
        ({"type": "invented", "text": "still text"}, "still text"),
    ],
)
def test_rich_text_elements(element: dict[str, Any], markdown: str) -> None:
    """Each inline element of a rich text block has its Markdown."""
    assert parse(rich(section(element))) == markdown


def test_neighbours_of_one_style_share_their_markers() -> None:
    """Slack cuts styled runs at links and emoji; the Markdown does not show the cut."""
    bold = {"bold": True}
    parts = [{"type": "text", "text": text, "style": bold} for text in ("see ", "here", " ")]

    assert parse(rich(section(*parts, {"type": "text", "text": "now"}))) == "**see here** now"


def test_labels_in_the_text_name_what_blocks_only_number() -> None:
    """A channel known only from the label in the fallback text is named in the rich text too."""
    event = {"text": "in <#C7|ops>", **rich(section({"type": "channel", "channel_id": "C7"}))}

    assert parse(event) == "#ops"


def test_a_fence_outlives_backticks_in_its_code() -> None:
    """Preformatted text that contains a fence stays one block."""
    code = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "```\nx\n```"}]}

    assert parse(rich(code)) == "````\n```\nx\n```\n````"


def test_typed_markup_in_rich_text_is_not_an_escape_sequence() -> None:
    """Rich text is not entity-escaped, so an entity somebody typed stays."""
    assert parse(rich(section({"type": "text", "text": "write &amp;lt; for <"}))) == "write &amp;lt; for <"


@pytest.mark.parametrize(
    ("event", "users"),
    [
        ({"text": "<@U0BOT> and <@U1ANA|ana> <@U0BOT>"}, ["U0BOT", "U1ANA"]),
        (rich(section({"type": "user", "user_id": "U2BEN"})), ["U2BEN"]),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "<@W1>"}}]}, ["W1"]),
        ({"text": "&lt;@U0BOT&gt;"}, []),
        ({"text": "hi", "attachments": [{"text": "<@U0BOT>"}]}, []),
        ({"text": None, "blocks": "x"}, []),
    ],
)
def test_mentions(event: dict[str, Any], users: list[str]) -> None:
    """Mentions come from the message itself, never from what it quotes or only spells."""
    assert mentioned_users(event) == users
    assert has_mention(event, "U0BOT") == ("U0BOT" in users)


KEYS = st.sampled_from(
    [
        "type",
        "text",
        "blocks",
        "elements",
        "style",
        "url",
        "user_id",
        "channel_id",
        "unicode",
        "name",
        "indent",
        "offset",
        "rows",
        "fields",
        "attachments",
        "message_blocks",
        "message",
        "files",
        "title",
        "fallback",
        "code",
        "bold",
        "language",
        "range",
    ]
)
KINDS = st.sampled_from(
    [
        "rich_text",
        "rich_text_section",
        "rich_text_list",
        "rich_text_quote",
        "rich_text_preformatted",
        "section",
        "header",
        "context",
        "table",
        "markdown",
        "mrkdwn",
        "plain_text",
        "text",
        "link",
        "user",
        "emoji",
        "ordered",
        "date",
    ]
)
MARKUP = st.lists(st.sampled_from(["*", "_", "~", "`", "```", "<", ">", "&gt;", "|", "@U1", "!", "#", "x", "\n", " "]))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | KINDS | MARKUP.map("".join)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=30
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_no_payload_raises(event: dict[str, Any]) -> None:
    """Whatever arrives, the result is encodable text without control characters."""
    said = parse(event)

    assert not {"\x00", "\x01", "\x02"} & set(said.encode("utf-8").decode())
    assert all(isinstance(user, str) for user in mentioned_users(event))


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_escaping_is_undone_exactly_once(text: str) -> None:
    """What a person typed inside code comes back as it was typed."""
    typed = "".join(char for char in text if char.isprintable() and char != "`").strip() or "x"
    escaped = typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert parse({"text": f"`{escaped}`"}) == f"`{typed}`"


@pytest.mark.timeout(60)  # it takes about one second; with the square of its length it took ten minutes
@pytest.mark.parametrize("piece", ["\t", "a.", "a-", "www.", "https://a)", "&lt;", "`", "*", "[", "> ", "\n", "\u200b"])
def test_a_message_made_to_be_slow_is_not(piece: str) -> None:
    """The longest message that Slack takes holds nobody up."""
    for text in (piece * (40_000 // len(piece)), (piece + "x") * (40_000 // (len(piece) + 1))):
        assert len(parse({"text": text})) <= 80_000
        assert len(find_urls(text)) <= 20_000
