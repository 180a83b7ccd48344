"""Streams, sessions and Stop: answers that grow, and how they end."""

import pytest
from slack_sdk.models.messages.chunk import MarkdownTextChunk, TaskUpdateChunk
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.testing import Playground
from tests.playground.conftest import GENERAL, MAYA, Recorder, error_of

FEEDBACK = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "feedback",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "up"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "down"},
        }
    ],
}


async def start(playground: Playground, client: AsyncWebClient, **arguments: object) -> tuple[str, str, str]:
    """Start a stream below a new message in Maya's DM; return channel, root and stream."""
    channel = playground.maya.dm
    root = await playground.maya.say(channel, "Hi")
    answer = await client.chat_startStream(channel=channel, thread_ts=root, **arguments)
    return channel, root, answer["ts"]


async def test_a_stream_grows_and_ends(playground: Playground, client: AsyncWebClient) -> None:
    """Appended text stands together; blocks given at the end stand below it."""
    channel, root, ts = await start(playground, client, markdown_text="One ")
    await client.chat_appendStream(channel=channel, ts=ts, markdown_text="two ")
    assert playground.message(channel, ts)["streaming"]
    await client.chat_stopStream(channel=channel, ts=ts, markdown_text="three", blocks=[FEEDBACK])

    reply = await playground.wait_for_reply(channel, root)
    assert (reply["markdown_text"], reply["streaming"]) == ("One two three", False)
    assert [block["type"] for block in reply["blocks"]] == ["context_actions"]
    history = await client.conversations_replies(channel=channel, ts=root)
    assert history["messages"][1]["text"] == "One two three"


async def test_the_sdks_own_helper_works(playground: Playground, client: AsyncWebClient) -> None:
    """ChatStream, the way most apps stream, gets through with buffering and chunks."""
    root = await playground.maya.say("general", "Hi <@U0APPRENTICE>")
    streamer = await client.chat_stream(
        channel=GENERAL, thread_ts=root, recipient_team_id="T0PLAYGRND", recipient_user_id=MAYA, buffer_size=4
    )
    await streamer.append(markdown_text="Hello ")
    await streamer.append(chunks=[TaskUpdateChunk(id="1", title="Look", status="in_progress")])
    await streamer.append(
        chunks=[MarkdownTextChunk(text="world"), TaskUpdateChunk(id="1", title="Look", status="complete")]
    )
    await streamer.stop()

    reply = await playground.wait_for_reply("general", root)
    assert reply["markdown_text"] == "Hello world"
    assert reply["chunks"] == [{"type": "task_update", "id": "1", "title": "Look", "status": "complete"}]


async def test_a_stream_makes_a_session(playground: Playground, client: AsyncWebClient) -> None:
    """Streaming shows the app at work, and stopping sets the state that is asked for."""
    channel, root, ts = await start(playground, client)
    assert playground.session(channel, root)["status"] == "processing"
    await client.chat_stopStream(channel=channel, ts=ts, session_status="suspended")

    assert playground.session(channel, root)["status"] == "suspended"


async def test_refusals(playground: Playground, client: AsyncWebClient) -> None:
    """Streams into channels need a recipient; live ones cannot be updated, ended ones not appended to."""
    root = await playground.maya.say("general", "Hi")
    team = "T0PLAYGRND"
    start_stream = client.chat_startStream

    assert await error_of(start_stream(channel=GENERAL, thread_ts=root)) == "missing_recipient_team_id"
    assert (
        await error_of(start_stream(channel=GENERAL, thread_ts=root, recipient_team_id=team))
        == "missing_recipient_user_id"
    )
    assert await error_of(start_stream(channel=playground.maya.dm, thread_ts="1.2")) == "thread_not_found"
    channel, _, ts = await start(playground, client, markdown_text="a")
    assert await error_of(client.chat_update(channel=channel, ts=ts, text="b")) == "streaming_state_conflict"
    assert (
        await error_of(client.chat_appendStream(channel=channel, ts=ts, markdown_text="x" * 12_001)) == "msg_too_long"
    )
    bad = client.chat_appendStream(channel=channel, ts=ts, chunks=[{"type": "task_update", "id": "1"}])
    assert await error_of(bad) == "invalid_chunks"
    await client.chat_stopStream(channel=channel, ts=ts)
    append = client.chat_appendStream(channel=channel, ts=ts, markdown_text="b")
    assert await error_of(append) == "message_not_in_streaming_state"
    await client.chat_update(channel=channel, ts=ts, text="repaired")
    assert playground.message(channel, ts)["text"] == "repaired"


async def test_a_stream_expires(playground: Playground, client: AsyncWebClient) -> None:
    """After five minutes Slack has closed the stream, whatever was appended in between."""
    channel, _, ts = await start(playground, client, markdown_text="a")
    await playground.advance(240)
    await client.chat_appendStream(channel=channel, ts=ts, markdown_text="b")
    await playground.advance(61)

    append = client.chat_appendStream(channel=channel, ts=ts, markdown_text="c")
    assert await error_of(append) == "message_not_in_streaming_state"
    assert playground.message(channel, ts)["markdown_text"] == "ab"


async def test_stop_ends_the_stream_and_tells_the_app(
    playground: Playground, client: AsyncWebClient, recorder: Recorder
) -> None:
    """Stop closes running streams, but the session's state is left to the app."""
    channel, root, ts = await start(playground, client, markdown_text="a")
    assert await playground.maya.stop(channel, root) == [ts]
    await playground.wait_until(lambda: recorder.events("agent_session_stopped"))

    event = recorder.events("agent_session_stopped")[0]
    assert (event["streaming_message_ts"], event["user"], event["thread_ts"]) == ([ts], MAYA, root)
    append = client.chat_appendStream(channel=channel, ts=ts, markdown_text="b")
    assert await error_of(append) == "stopped_by_user"
    assert playground.session(channel, root)["status"] == "processing"
    await client.chat_stopStream(channel=channel, ts=ts, blocks=[FEEDBACK])
    assert playground.session(channel, root)["status"] == "active"
    assert playground.message(channel, ts)["markdown_text"] == "a"


async def test_session_methods(playground: Playground, client: AsyncWebClient, recorder: Recorder) -> None:
    """The first status creates a session; app and person may rename it, and the app hears of the latter."""
    root = await playground.maya.say("general", "Hi")
    await client.agents_sessions_setStatus(
        channel_id=GENERAL, thread_ts=root, status="processing", title="First", initiator_user_id=MAYA
    )
    await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="active", title="Ignored")
    assert playground.session("general", root)["title"] == "First"
    await client.agents_sessions_rename(channel_id=GENERAL, thread_ts=root, title="Second")
    await playground.maya.rename("general", root, "Mine")
    await playground.wait_until(lambda: recorder.events("agent_session_title_changed"))

    event = recorder.events("agent_session_title_changed")[0]
    assert (event["previous_title"], event["title"], event["user"]) == ("Second", "Mine", MAYA)
    wrong = client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="busy")
    assert await error_of(wrong) == "invalid_arguments"


async def test_processing_ends_by_itself(playground: Playground, client: AsyncWebClient) -> None:
    """An app that never says it is done is given up after an hour."""
    root = await playground.maya.say("general", "Hi")
    await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="processing")
    await playground.advance(3599)
    assert playground.session("general", root)["status"] == "processing"
    await playground.advance(2)

    assert playground.session("general", root)["status"] == "active"


@pytest.mark.parametrize("ending", ["timeout", "post", "clear"])
async def test_the_legacy_status_goes(playground: Playground, client: AsyncWebClient, ending: str) -> None:
    """The old status line shows Stop too, and ends after two minutes, by a post, or by an empty text."""
    channel = playground.maya.dm
    root = await playground.maya.say(channel, "Hi")
    arguments = {"channel_id": channel, "thread_ts": root}
    await client.assistant_threads_setStatus(status="is thinking", loading_messages=["hm"], **arguments)
    session = playground.session(channel, root)
    assert (session["status_text"], session["status"]) == ("is thinking", "processing")

    if ending == "timeout":
        await playground.advance(121)
    elif ending == "post":
        await client.chat_postMessage(channel=channel, thread_ts=root, text="done")
    else:
        await client.assistant_threads_setStatus(status="", **arguments)
    session = playground.session(channel, root)
    assert (session["status_text"], session["status"]) == (None, "active")


async def test_suggested_prompts(playground: Playground, client: AsyncWebClient) -> None:
    """At most four prompts, at the top of the DM; inside a thread they are silently lost, as in agent apps."""
    channel = playground.maya.dm
    prompts = [{"title": "Hello", "message": "Say hello"}]
    await client.assistant_threads_setSuggestedPrompts(channel_id=channel, prompts=prompts)
    assert playground.prompts(channel) == prompts

    root = await playground.maya.say(channel, "Hi")
    await client.assistant_threads_setSuggestedPrompts(
        channel_id=channel, thread_ts=root, prompts=[{"title": "x", "message": "y"}]
    )
    assert playground.prompts(channel) == prompts
    many = client.assistant_threads_setSuggestedPrompts(channel_id=channel, prompts=prompts * 5)
    assert await error_of(many) == "invalid_arguments"
