"""Who gets an answer: everybody who asks, nobody who does not."""

from typing import Any

import pytest

from bot.slack.gating import hear, wants_answer

BOT = "UBOT"


def body(**event: Any) -> dict[str, Any]:
    """Build an event as Slack sends it."""
    basic = {"type": "message", "channel": "C1", "ts": "200.0", "user": "U1", "text": "hi", "channel_type": "channel"}
    return {"team_id": "T1", "event_id": "Ev1", "event": {**basic, **event}}


@pytest.mark.parametrize(
    ("event", "is_engaged", "expected"),
    [
        ({"channel": "D1", "channel_type": "im"}, False, True),
        ({"channel": "D1", "channel_type": "im", "thread_ts": "100.0"}, False, True),
        ({"type": "app_mention", "text": "<@UBOT> hi"}, False, True),
        ({"text": "hey <@UBOT> hi"}, False, True),
        ({}, False, False),
        ({}, True, False),
        ({"thread_ts": "100.0"}, True, True),
        ({"thread_ts": "100.0"}, False, False),
        ({"thread_ts": "200.0"}, True, False),
        ({"thread_ts": "100.0", "text": "<@U2> what do you think?"}, True, False),
        ({"thread_ts": "100.0", "text": "<@U2> and <@UBOT>?"}, True, True),
        ({"thread_ts": "100.0", "subtype": "file_share"}, True, True),
        ({"thread_ts": "100.0", "subtype": "thread_broadcast"}, True, True),
    ],
)
def test_whoever_asks_gets_an_answer(event: dict[str, Any], is_engaged: bool, expected: bool) -> None:
    """Direct messages, mentions and replies in an engaged thread; not talk between people."""
    heard = hear(body(**event), bot_user_id=BOT)

    assert heard is not None
    assert wants_answer(heard, is_engaged=is_engaged) is expected


@pytest.mark.parametrize(
    "event",
    [
        {"subtype": "message_changed"},
        {"subtype": "message_deleted"},
        {"subtype": "channel_join"},
        {"subtype": "bot_message", "bot_id": "B1"},
        {"bot_id": "B1"},
        {"user": BOT},
        {"user": "USLACKBOT"},
        {"user": None},
        {"ts": None},
        {"type": "reaction_added"},
    ],
)
def test_what_is_not_a_person_speaking_is_not_heard(event: dict[str, Any]) -> None:
    """Edits, joins, bots and the assistant itself cannot start a turn."""
    assert hear(body(**event), bot_user_id=BOT) is None


def test_both_events_of_a_mention_are_one_arrival() -> None:
    """They differ in their event id only, so that the inbox can tell that they are twins."""
    mention = hear(body(type="app_mention", text="<@UBOT> hi"), bot_user_id=BOT)
    message = hear({**body(text="<@UBOT> hi"), "event_id": "Ev2"}, bot_user_id=BOT)

    assert mention is not None
    assert message is not None
    keys = [(a.team_id, a.channel_id, a.ts, a.kind) for a in (mention.arrival, message.arrival)]
    assert keys[0] == keys[1]


def test_the_workspace_is_the_one_that_installed_the_app() -> None:
    """In a shared channel `team_id` can be the other organisation's."""
    heard = hear({**body(channel_type="im"), "authorizations": [{"team_id": "THOME"}]}, bot_user_id=BOT)

    assert heard is not None
    assert heard.place.team_id == "THOME"


@pytest.mark.parametrize("broken", [{}, {"event": None}, {"event": []}, {"event": {"type": "message"}}])
def test_a_malformed_event_is_ignored(broken: dict[str, Any]) -> None:
    """Nothing that Slack could send breaks the intake."""
    assert hear(broken, bot_user_id=BOT) is None
