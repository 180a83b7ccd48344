"""chat.scheduleMessage: said by the playground's clock, listed, taken back, kept across a restart."""

from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.testing import Playground
from tests.playground.conftest import GENERAL, LEADS, error_of


def soon(playground: Playground, seconds: int = 3600) -> int:
    """Return a moment ahead as Slack wants it."""
    return int(playground.hub.clock.now()) + seconds


def texts(playground: Playground, thread_ts: str | None = None) -> list[str]:
    """Return what stands in #general."""
    return [message["text"] for message in playground.messages("general", thread_ts)]


async def test_a_message_is_said_at_its_time(playground: Playground, client: AsyncWebClient) -> None:
    """Not before; in the thread that was named; and then the list is empty."""
    root = await playground.maya.say("general", "root")
    answer = await client.chat_scheduleMessage(channel=GENERAL, text="now", post_at=soon(playground))
    await client.chat_scheduleMessage(channel=GENERAL, text="later", post_at=soon(playground, 7200), thread_ts=root)
    listed = (await client.chat_scheduledMessages_list())["scheduled_messages"]

    assert answer["scheduled_message_id"].startswith("Q")
    assert [(held["text"], held["channel_id"]) for held in listed] == [("now", GENERAL), ("later", GENERAL)]
    assert texts(playground) == ["root"]
    await playground.advance(3700)
    assert texts(playground) == ["root", "now"]
    await playground.advance(3700)
    assert texts(playground, root) == ["root", "later"]
    assert (await client.chat_scheduledMessages_list())["scheduled_messages"] == []


async def test_a_message_can_be_taken_back(playground: Playground, client: AsyncWebClient) -> None:
    """Until a minute before its time, by the channel that it is for."""
    held = (await client.chat_scheduleMessage(channel=GENERAL, text="no", post_at=soon(playground)))[
        "scheduled_message_id"
    ]
    late = (await client.chat_scheduleMessage(channel=GENERAL, text="yes", post_at=soon(playground, 30)))[
        "scheduled_message_id"
    ]
    await client.chat_deleteScheduledMessage(channel=GENERAL, scheduled_message_id=held)
    for wrong in (
        {"channel": GENERAL, "scheduled_message_id": late},
        {"channel": GENERAL, "scheduled_message_id": held},
    ):
        assert await error_of(client.chat_deleteScheduledMessage(**wrong)) == "invalid_scheduled_message_id"

    await playground.advance(4000)
    assert texts(playground) == ["yes"]


@pytest.mark.parametrize(
    ("seconds", "error"), [(-5, "time_in_past"), (121 * 86_400, "time_too_far"), (None, "invalid_time")]
)
async def test_wrong_times_are_refused(
    playground: Playground, client: AsyncWebClient, seconds: int | None, error: str
) -> None:
    """As Slack does."""
    post_at = "soon" if seconds is None else soon(playground, seconds)
    assert await error_of(client.chat_scheduleMessage(channel=GENERAL, text="x", post_at=post_at)) == error


async def test_where_the_app_is_not_it_says_nothing(playground: Playground, client: AsyncWebClient) -> None:
    """Neither when it asks nor, having left meanwhile, when the time has come."""
    assert (
        await error_of(client.chat_scheduleMessage(channel=LEADS, text="x", post_at=soon(playground)))
        == "channel_not_found"
    )
    await client.chat_scheduleMessage(channel=GENERAL, text="x", post_at=soon(playground))
    playground.hub.workspace.channels[GENERAL].members.remove(playground.hub.app.bot_user_id)
    await playground.advance(4000)

    assert texts(playground) == []


async def test_too_many_at_once_are_refused(playground: Playground, client: AsyncWebClient) -> None:
    """Thirty within five minutes; half an hour later there is room again."""
    moment = soon(playground)
    for _number in range(30):
        await client.chat_scheduleMessage(channel=GENERAL, text="x", post_at=moment)
    assert (
        await error_of(client.chat_scheduleMessage(channel=GENERAL, text="x", post_at=moment + 60))
        == "restricted_too_many"
    )
    await client.chat_scheduleMessage(channel=GENERAL, text="x", post_at=moment + 1800)


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """What was held is said after the restart, and what was due meanwhile at once."""
    data = tmp_path / "playground.json"
    async with Playground(data=data) as first:
        client = AsyncWebClient(token=first.options.bot_token, base_url=first.api_url)
        await client.chat_scheduleMessage(channel=GENERAL, text="due", post_at=soon(first, 1))
        await client.chat_scheduleMessage(channel=GENERAL, text="ahead", post_at=soon(first, 3600))
        for held in first.hub.workspace.scheduled.values():
            held.post_at -= 10 if held.message.text == "due" else 0
        first.hub.clock.stop()

    async with Playground(data=data) as second:
        await second.wait_until(lambda: texts(second) == ["due"], what="what was due")
        await second.advance(3700)
        assert texts(second) == ["due", "ahead"]
