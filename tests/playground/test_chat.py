"""chat.*: posting, changing and deleting messages, with Slack's refusals."""

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.testing import Playground
from tests.playground.conftest import BOT, GENERAL, LEADS, MAYA, TOM, error_of


async def test_a_post_stands_in_the_channel(playground: Playground, client: AsyncWebClient) -> None:
    """What the app posts is what people see, under the timestamp that Slack answers."""
    answer = await client.chat_postMessage(channel="#general", text="Hello")

    shown = playground.message(GENERAL, answer["ts"])
    assert (shown["text"], shown["user"], shown["bot_id"]) == ("Hello", BOT, "B0APPRENTICE")
    assert answer["channel"] == GENERAL
    assert answer["message"]["bot_profile"]["name"] == "Apprentice"


async def test_a_reply_counts_at_its_root(playground: Playground, client: AsyncWebClient) -> None:
    """A reply, even to a reply, stands in the root's thread and is counted there."""
    root = await playground.maya.say("general", "Question")
    first = await client.chat_postMessage(channel=GENERAL, text="One", thread_ts=root)
    await client.chat_postMessage(channel=GENERAL, text="Two", thread_ts=first["ts"])

    assert [message["text"] for message in playground.messages(GENERAL, root)] == ["Question", "One", "Two"]
    assert playground.message(GENERAL, root)["reply_count"] == 2
    assert playground.message(GENERAL, root)["reply_users"] == [BOT]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": LEADS, "text": "x"}, "channel_not_found"),
        ({"channel": GENERAL}, "no_text"),
        ({"channel": GENERAL, "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": GENERAL, "markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"channel": GENERAL, "text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"channel": GENERAL, "text": "x", "thread_ts": "1111111111.000001"}, "thread_not_found"),
        ({"channel": GENERAL, "text": "x", "blocks": "not json"}, "invalid_blocks_format"),
        ({"channel": GENERAL, "text": "x", "blocks": [{"type": "nope"}]}, "invalid_blocks"),
        ({"channel": GENERAL, "text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": GENERAL, "text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format"),
        (
            {"channel": GENERAL, "text": "x", "metadata": {"event_type": "t", "event_payload": {"a": "b" * 4000}}},
            "metadata_too_large",
        ),
        (
            {"channel": GENERAL, "text": "x", "blocks": [{"type": "markdown", "text": "x" * 7000}] * 2},
            "msg_blocks_too_long",
        ),
    ],
)
async def test_refused_posts(client: AsyncWebClient, arguments: dict[str, object], error: str) -> None:
    """A post that Slack would refuse is refused with Slack's code."""
    assert await error_of(client.api_call("chat.postMessage", json=arguments)) == error


async def test_a_missing_argument_is_named(client: AsyncWebClient) -> None:
    """A call without a required argument says which one."""
    with pytest.raises(SlackApiError) as caught:
        await client.api_call("chat.postMessage", json={"text": "x"})

    assert caught.value.response["error"] == "invalid_arguments"
    assert caught.value.response["response_metadata"]["messages"] == ["[ERROR] missing required field: channel"]


async def test_posting_needs_membership(playground: Playground, client: AsyncWebClient) -> None:
    """In a public channel that the app has left, it may not speak."""
    playground.hub.workspace.channels[GENERAL].members.remove(BOT)

    assert await error_of(client.chat_postMessage(channel=GENERAL, text="x")) == "not_in_channel"


async def test_form_query_and_json_say_the_same(playground: Playground, client: AsyncWebClient) -> None:
    """Arguments count however they travel."""
    arguments = {"channel": GENERAL, "blocks": '[{"type":"divider"}]', "text": "x"}
    await client.api_call("chat.postMessage", data=arguments)
    await client.api_call("chat.postMessage", params=arguments)
    await client.api_call("chat.postMessage", json={**arguments, "blocks": [{"type": "divider"}]})

    shown = playground.messages(GENERAL)
    assert [message["blocks"][0]["type"] for message in shown] == ["divider"] * 3
    assert all(message["blocks"][0]["block_id"] for message in shown)


async def test_update_with_text_takes_the_blocks_away(playground: Playground, client: AsyncWebClient) -> None:
    """Text without blocks replaces them and marks the message as edited; blocks alone do not."""
    blocks = [{"type": "divider"}]
    ts = (await client.chat_postMessage(channel=GENERAL, text="a", blocks=blocks))["ts"]

    arguments = {"channel": GENERAL, "ts": ts, "blocks": [*blocks, *blocks]}
    await client.api_call("chat.update", json=arguments)  # the SDK's own method warns of the missing text
    assert len(playground.message(GENERAL, ts)["blocks"]) == 2
    assert playground.message(GENERAL, ts)["edited"] is None

    await client.chat_update(channel=GENERAL, ts=ts, text="b")
    assert playground.message(GENERAL, ts)["blocks"] == []
    assert playground.message(GENERAL, ts)["text"] == "b"
    assert playground.message(GENERAL, ts)["edited"]["user"] == BOT


async def test_update_refuses_what_slack_refuses(playground: Playground, client: AsyncWebClient) -> None:
    """Others' messages, lost ones and long texts cannot be updated."""
    human = await playground.maya.say("general", "mine")
    own = (await client.chat_postMessage(channel=GENERAL, text="a"))["ts"]

    assert await error_of(client.chat_update(channel=GENERAL, ts=human, text="b")) == "cant_update_message"
    assert await error_of(client.chat_update(channel=GENERAL, ts="1.1", text="b")) == "message_not_found"
    assert await error_of(client.chat_update(channel=GENERAL, ts=own, text="b" * 4001)) == "msg_too_long"
    assert await error_of(client.chat_delete(channel=GENERAL, ts=human)) == "cant_delete_message"


async def test_a_deleted_root_leaves_a_tombstone(playground: Playground, client: AsyncWebClient) -> None:
    """A message with replies stays as a place; one without goes."""
    root = (await client.chat_postMessage(channel=GENERAL, text="root"))["ts"]
    reply = await playground.maya.say("general", "reply", root)
    await client.chat_delete(channel=GENERAL, ts=root)

    assert playground.message(GENERAL, root)["deleted"]
    await playground.maya.delete("general", reply)
    assert [message["ts"] for message in playground.messages(GENERAL, root)] == [root]
    assert playground.message(GENERAL, root)["reply_count"] == 0


async def test_an_ephemeral_message_is_for_one(playground: Playground, client: AsyncWebClient) -> None:
    """Only its addressee sees it, and only if they are in the channel."""
    await client.chat_postEphemeral(channel=GENERAL, user=MAYA, text="psst")

    assert [message["text"] for message in playground.maya.sees("general")] == ["psst"]
    assert playground.tom.sees("general") == []
    assert await error_of(client.chat_postEphemeral(channel=GENERAL, user="U0SAM", text="x")) == "user_not_in_channel"
    assert (await client.conversations_history(channel=GENERAL))["messages"] == []


async def test_an_ephemeral_in_a_new_thread_is_lost(playground: Playground, client: AsyncWebClient) -> None:
    """Into a thread without replies Slack takes an ephemeral message and shows it to nobody."""
    root = await playground.tom.say("general", "root")
    await client.chat_postEphemeral(channel=GENERAL, user=TOM, text="lost", thread_ts=root)
    assert playground.tom.ephemerals("general") == []

    await client.chat_postMessage(channel=GENERAL, text="reply", thread_ts=root)
    await client.chat_postEphemeral(channel=GENERAL, user=TOM, text="seen", thread_ts=root)
    assert [message["text"] for message in playground.tom.sees("general", root)] == ["root", "reply", "seen"]


async def test_a_permalink_leads_to_the_page(playground: Playground, client: AsyncWebClient) -> None:
    """A message's address is one that the playground serves."""
    root = await playground.maya.say("general", "root")
    reply = await playground.maya.say("general", "reply", root)
    answer = await client.chat_getPermalink(channel=GENERAL, message_ts=reply)

    assert answer["permalink"].startswith(f"{playground.base_url}/archives/{GENERAL}/p{reply.replace('.', '')}")
    assert f"thread_ts={root}" in answer["permalink"]
