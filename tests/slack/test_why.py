"""Why an answer is as it is: complete, within a window, and no more than the reader may see."""

from hypothesis import given
from hypothesis import strategies as st

from bot.learning.views import Why
from bot.playground.blocks import check_view
from bot.slack.learning.why import build_why, render_why
from bot.slack.learning.why_context import build_context
from bot.storage.contexts import Context, ReadCorrection, ReadFile, ReadMessage
from bot.storage.threads import Place

PLACE = Place("T1", "C1", "1.0")
HERE = ReadCorrection("which port?", "6543", "U1", "C1", "1.5", is_open=True, score=0.75)
OPEN = ReadCorrection("which port?", "6543", "U1", "C2", "2.5", is_open=True, score=0.75)
GIVEN = ReadCorrection("which port?", "6543", "U1", "D1", "3.5", is_open=False, score=0.75)


async def find_link(channel_id: str, ts: str) -> str:
    """Return an address for every message."""
    return f"https://x.slack.com/archives/{channel_id}/p{ts}"


async def told(context: Context, *, is_ours: bool = True) -> str:
    """Return what a reader is told of a context."""
    blocks = await build_context(context, PLACE, find_link=find_link, is_ours=is_ours)
    assert check_view(build_why(render_why(Why(model="m", model_sha256=""), blocks))) == []
    return "\n".join(block["text"]["text"] for block in blocks)


async def test_a_member_sees_what_a_member_may_read() -> None:
    """A link to what stands here or in public; the words, and neither place nor name, of what was given away."""
    seen = await told(Context(corrections=(HERE, OPEN, GIVEN)))

    assert "<https://x.slack.com/archives/C1/p1.5|which port?>" in seen
    assert "<https://x.slack.com/archives/C2/p2.5|which port?>" in seen
    assert "D1" not in seen
    assert seen.count("<@U1>") == 2
    assert seen.count("6543") == 3


async def test_a_guest_sees_only_what_stands_here() -> None:
    """That there was a correction from elsewhere, and nothing of it."""
    seen = await told(Context(corrections=(HERE, OPEN, GIVEN)), is_ours=False)

    assert (seen.count("6543"), seen.count("from another place")) == (1, 2)
    assert "C2" not in seen
    assert "D1" not in seen


async def test_what_was_asked_in_private_stays_with_its_asker() -> None:
    """Shared was the answer, and neither the earlier question that it rests on nor what its asker had said to that."""
    kept = ReadCorrection("who leaves?", "Sam does", "U1", "C1", "ask-1", is_open=False, score=0.75, is_kept=True)
    shared = await told(Context(corrections=(kept,)))
    blocks = await build_context(
        Context(corrections=(kept,)), Place("T1", "C1", "ask-2"), find_link=find_link, is_ours=True
    )

    assert "shows it to nobody" in shared
    assert "Sam" not in shared
    assert "leaves" not in shared
    assert "Sam does" in str(blocks)


async def test_who_wants_no_name_or_shows_nothing_is_not_told() -> None:
    """As in the queue of the reviewers, who can press Why? like everybody else."""
    hidden = ReadCorrection("which host?", "db-7", "U2", "C1", "1.5", is_open=True, score=0.75, shown="anonymous")
    kept = ReadCorrection("which disk?", "sdb", "U3", "C1", "1.5", is_open=True, score=0.75, shown="private")
    seen = await told(Context(corrections=(HERE, hidden, kept)))

    assert ("<@U1>" in seen, "<@U2>" in seen, "<@U3>" in seen) == (True, False, False)
    assert "somebody who wants no name here said: db-7" in seen
    assert "shows it to nobody" in seen
    assert "sdb" not in seen
    assert "disk" not in seen


async def test_what_was_read_is_listed() -> None:
    """The newest messages with links, the summary, files with their parts, and how much is gone."""
    context = Context(
        messages=tuple(ReadMessage(f"{number}.0", "Maya", f"message {number}") for number in range(20)),
        files=(ReadFile("plan.md", "", "lines 1-9"), ReadFile("all.txt", "", "")),
        summary="They chose Tuesday.",
        summarised=30,
        lost=2,
    )
    seen = await told(context)

    assert "and 12 before these" in seen
    assert "<https://x.slack.com/archives/C1/p19.0|Maya>: message 19" in seen
    assert "message 11" not in seen
    assert "first 30 messages" in seen
    assert "They chose Tuesday." in seen
    assert "• plan.md, lines 1-9\n• all.txt" in seen
    assert "2 was deleted since" in seen
    assert await told(Context()) == ""


async def test_a_summary_links_to_what_people_named() -> None:
    """A model wrote it, perhaps as somebody wanted who is to hear what stands in the thread."""
    said = (ReadMessage("1.0", "Maya", "see https://wiki.example/port"),)
    summary = "They saw https://wiki.example/port and https://evil.example/?d=6543"
    seen = await told(Context(messages=said, summary=summary, summarised=3))

    assert "They saw https://wiki.example/port and `https://evil.example/?d=6543`" in seen


@given(st.text(max_size=5000))
async def test_whatever_people_wrote_fits_and_does_nothing(text: str) -> None:
    """The window stays valid, and nothing in it becomes a mention, a link or markup of Slack's."""
    correction = ReadCorrection(text, text, "U1", "C1", "1.5", is_open=True, score=1.0)
    context = Context(
        messages=(ReadMessage("1.0", text[:80], text),) * 30,
        corrections=(correction,) * 3,
        files=(ReadFile(text[:255], "", ""),),
        summary=text,
        summarised=1,
    )
    seen = await told(context)
    own = seen.replace("<https://x.slack.com", "").replace("<@U1>", "")
    assert "<" not in own


def test_how_sure_it_was_and_how_it_ended() -> None:
    """The least sure words with their odds, the time in the queue, and who ended it."""
    why = Why(
        model="m",
        model_sha256="",
        certainty=0.8,
        unsure=(("Lan`tern", 0.304), ("<@U2>", 0.01)),
        queued_seconds=2.0,
        first_token_seconds=2.5,
        seconds=4.0,
        is_stopped=True,
    )
    seen = str(render_why(why))
    assert "80% a token on average. Least sure of: `Lantern` 30%, `&lt;@U2&gt;` 1%" in seen
    assert "in the queue for 2.0 s, first word after 2.5 s, whole answer after 4.0 s" in seen
    assert "stopped by a person" in seen
    assert "cut off at the length limit" in str(render_why(Why(model="m", model_sha256="", finish_reason="length")))
