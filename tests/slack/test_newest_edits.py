"""What is remembered of edits that came before their message, or twice."""

from typing import Any

from bot.slack.turns import newest_edits
from bot.slack.turns.newest_edits import NewestEdits, is_late_edit

CHANNEL = "C1"


def edit(text: str, at: str) -> dict[str, Any]:
    """Return a message as an edit leaves it."""
    return {"ts": "1.0", "text": text, "edited": {"user": "U1", "ts": at}}


def test_an_older_edit_is_left() -> None:
    """It came again after a newer one; the newer one itself may come twice."""
    edits = NewestEdits()
    assert edits.note(CHANNEL, "1.0", edit("one", "2.0"))
    assert edits.note(CHANNEL, "1.0", edit("two", "3.0"))
    assert edits.note(CHANNEL, "1.0", edit("two", "3.0"))
    assert not edits.note(CHANNEL, "1.0", edit("one", "2.0"))
    assert edits.note(CHANNEL, "5.0", edit("another message", "2.0"))


def test_a_message_that_comes_late_says_what_was_made_of_it() -> None:
    """Its words, blocks and files are those of the edit; what else it says of itself stays."""
    edits = NewestEdits()
    edits.note(CHANNEL, "1.0", edit("new words", "2.0"))
    event = {"type": "message", "channel": CHANNEL, "ts": "1.0", "user": "U1", "text": "old", "files": [{"id": "F1"}]}
    heard = edits.apply({"team_id": "T1", "event": event})
    assert heard["team_id"] == "T1"
    assert heard["event"] == {
        "type": "message",
        "channel": CHANNEL,
        "ts": "1.0",
        "user": "U1",
        **edit("new words", "2.0"),
    }


def test_nothing_else_changes() -> None:
    """Neither other messages, nor edits themselves, nor what is newer than the edit, nor what is no message."""
    edits = NewestEdits()
    edits.note(CHANNEL, "1.0", edit("new words", "2.0"))
    for event in (
        {"channel": CHANNEL, "ts": "2.0", "text": "another"},
        {"channel": "C2", "ts": "1.0", "text": "elsewhere"},
        {"channel": CHANNEL, "ts": "1.0", **edit("newer words", "3.0")},
        {"channel": CHANNEL, "ts": "1.0", "subtype": "message_changed"},
        None,
    ):
        assert edits.apply({"event": event}) == {"event": event}


def test_a_mention_that_is_edited_long_after_it_was_said_is_late() -> None:
    """Slack tells of each edit of a mention as of a mention: an order of last month is not given by mending it."""
    said = {"type": "app_mention", "channel": CHANNEL, "ts": "1000.0"}
    assert is_late_edit({"event": {**said, "edited": {"ts": "4601.0"}}})
    assert not is_late_edit({"event": {**said, "edited": {"ts": "4599.0"}}})
    assert not is_late_edit({"event": said})
    assert not is_late_edit({"event": {**said, "type": "message", "edited": {"ts": "9000.0"}}})
    assert not is_late_edit({"event": None})


def test_the_words_of_a_deleted_message_are_forgotten() -> None:
    """Nothing of them comes back."""
    edits = NewestEdits()
    edits.note(CHANNEL, "1.0", edit("new words", "2.0"))
    edits.forget(CHANNEL, "1.0")
    body = {"event": {"channel": CHANNEL, "ts": "1.0", "text": "old"}}
    assert edits.apply(body) == body


def test_a_thousand_are_remembered() -> None:
    """Those of the newest."""
    edits = NewestEdits()
    for number in range(newest_edits.MOST + 1):
        edits.note(CHANNEL, f"{number}.0", edit("new", "9999.0"))
    first, last = ({"event": {"channel": CHANNEL, "ts": f"{number}.0"}} for number in (0, newest_edits.MOST))
    assert edits.apply(first) == first
    assert edits.apply(last) != last


def test_long_messages_fill_no_memory() -> None:
    """Of those that are together longer than a few megabytes the newest are remembered."""
    edits = NewestEdits()
    for number in range(60):
        edits.note(CHANNEL, f"{number}.0", edit("x" * 1_000_000, "9999.0"))
    known = [
        number
        for number in range(60)
        if edits.apply(body := {"event": {"channel": CHANNEL, "ts": f"{number}.0"}}) != body
    ]
    assert known == list(range(60 - len(known), 60))
    assert 0 < len(known) * 1_000_000 <= newest_edits.MOST_BYTES
    for number in known:
        edits.forget(CHANNEL, f"{number}.0")
    assert edits._bytes == 0
