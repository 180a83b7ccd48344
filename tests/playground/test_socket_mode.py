"""Socket Mode: connections, envelopes, acknowledgements, redelivery, refresh."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.testing import Playground
from tests.playground.conftest import BOT, GENERAL, LEADS, MAYA, Recorder, error_of


@asynccontextmanager
async def link(playground: Playground) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open one raw connection, past its hello."""
    client = AsyncWebClient(base_url=playground.api_url)
    opened = await client.apps_connections_open(app_token=playground.options.app_token)
    async with aiohttp.ClientSession() as session, session.ws_connect(opened["url"]) as socket:
        assert (await socket.receive_json())["type"] == "hello"
        yield socket


async def receive(socket: aiohttp.ClientWebSocketResponse, *, seconds: float = 5) -> dict[str, Any]:
    """Return the next frame."""
    return dict(await asyncio.wait_for(socket.receive_json(), seconds))


async def acknowledge(socket: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
    """Acknowledge an envelope."""
    await socket.send_str(json.dumps({"envelope_id": frame["envelope_id"]}))


async def test_a_mention_in_a_channel_is_two_events(playground: Playground, recorder: Recorder) -> None:
    """app_mention and message come with different event ids for the same message."""
    ts = await playground.maya.say("general", f"<@{BOT}> hi & <bye>")
    await playground.wait_until(lambda: len(recorder.bodies) == 2)

    kinds = {body["event"]["type"]: body for body in recorder.bodies}
    assert set(kinds) == {"message", "app_mention"}
    assert {body["event"]["ts"] for body in recorder.bodies} == {ts}
    assert len({body["event_id"] for body in recorder.bodies}) == 2
    event = kinds["message"]["event"]
    assert (event["channel_type"], event["text"]) == ("channel", f"<@{BOT}> hi &amp; &lt;bye&gt;")
    assert kinds["message"]["authorizations"][0]["user_id"] == BOT


async def test_each_edit_of_a_mention_is_a_mention(playground: Playground, recorder: Recorder) -> None:
    """Also one that puts it in; the event says of which message, and when it was edited."""
    ts = await playground.maya.say("general", "hi")
    for text in (f"hi <@{BOT}>", f"hello <@{BOT}>", "hello"):
        await playground.maya.edit("general", ts, text)
    await playground.wait_until(lambda: len(recorder.events("message")) == 4)
    mentions = recorder.events("app_mention")
    assert [(event["ts"], event["text"]) for event in mentions] == [(ts, f"hi <@{BOT}>"), (ts, f"hello <@{BOT}>")]
    assert [event["event_ts"] == event["edited"]["ts"] for event in mentions] == [True, True]


async def test_a_dm_is_one_event_with_its_context(playground: Playground, recorder: Recorder) -> None:
    """A DM is message.im, and says which channel the person looks at."""
    await playground.maya.open("support")
    await playground.maya.open(playground.maya.dm)
    await playground.maya.say(playground.maya.dm, f"hi <@{BOT}>")
    await playground.wait_until(lambda: recorder.events("message"))

    event = recorder.events("message")[0]
    assert event["channel_type"] == "im"
    assert event["app_context"]["entities"][0]["value"] == "C0SUPPORT"
    assert recorder.events("app_context_changed")[0]["channel"] == playground.maya.dm
    assert recorder.events("app_home_opened")[0]["tab"] == "messages"
    assert recorder.events("app_mention") == []


async def test_the_app_hears_only_where_it_is(playground: Playground, recorder: Recorder) -> None:
    """A private channel is silent until somebody invites the app."""
    await playground.maya.say(LEADS, f"secret <@{BOT}>")
    await playground.maya.invite(LEADS, BOT)
    await playground.maya.say(LEADS, "open")
    await playground.wait_until(lambda: [item for item in recorder.events("message") if item["text"] == "open"])

    assert "secret" not in json.dumps(recorder.bodies)
    joined = recorder.events("member_joined_channel")[0]
    assert (joined["user"], joined["inviter"], joined["channel_type"]) == (BOT, MAYA, "G")
    assert {event["channel_type"] for event in recorder.events("message")} == {"group"}


async def test_changes_are_events(playground: Playground, recorder: Recorder) -> None:
    """Edits, deletions and reactions reach the app with what was before."""
    ts = await playground.maya.say("general", "one")
    await playground.maya.react("general", ts, "eyes")
    await playground.maya.react("general", ts, "eyes", remove=True)
    await playground.maya.edit("general", ts, "two")
    await playground.maya.delete("general", ts)
    await playground.wait_until(lambda: recorder.events("message", "message_deleted"))

    changed = recorder.events("message", "message_changed")[0]
    assert (changed["previous_message"]["text"], changed["message"]["text"]) == ("one", "two")
    assert changed["message"]["edited"]["user"] == MAYA
    deleted = recorder.events("message", "message_deleted")[0]
    assert (deleted["deleted_ts"], deleted["previous_message"]["text"]) == (ts, "two")
    assert [recorder.events(kind)[0]["reaction"] for kind in ("reaction_added", "reaction_removed")] == ["eyes"] * 2


async def test_what_is_not_acknowledged_comes_again(playground: Playground) -> None:
    """Three seconds without an answer bring the event again: at once, after a minute, after five, then never."""
    async with link(playground) as socket:
        await playground.maya.say("general", "hello")
        first = await receive(socket)
        assert first["retry_attempt"] == 0
        for number, pause in enumerate((4, 61 + 4, 301 + 4), start=1):
            await playground.advance(pause)
            again = await receive(socket)
            assert (again["retry_attempt"], again["retry_reason"]) == (number, "timeout")
            assert again["payload"]["event_id"] == first["payload"]["event_id"]
            assert again["envelope_id"] != first["envelope_id"]
        await playground.advance(4000)
        entry = playground.log("event")[0]
        assert (entry["ok"], entry["status"]) == (False, "timeout")


async def test_a_late_app_gets_what_it_missed(playground: Playground, client: AsyncWebClient) -> None:
    """An event without any connection is delivered at its next attempt."""
    await playground.maya.say("general", "while you were away")
    await asyncio.sleep(0.01)
    await playground.advance(7)
    async with link(playground) as socket:
        await playground.advance(60)
        frame = await receive(socket)
        assert (frame["retry_attempt"], frame["retry_reason"]) == (2, "connection_failed")
        await acknowledge(socket, frame)
        await playground.wait_until(lambda: playground.log("event")[0]["status"] == "acked")


async def test_connections_take_turns(playground: Playground) -> None:
    """Each event goes to one connection, and the connections alternate."""
    async with link(playground) as one, link(playground) as two:
        got: dict[str, int] = {"one": 0, "two": 0}

        async def drain(name: str, socket: aiohttp.ClientWebSocketResponse) -> None:
            while True:
                frame = await socket.receive_json()
                got[name] += 1
                await acknowledge(socket, frame)

        tasks = [asyncio.create_task(drain("one", one)), asyncio.create_task(drain("two", two))]
        for number in range(6):
            await playground.maya.say("general", f"message {number}")
        await playground.wait_until(lambda: sum(got.values()) == 6)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert got == {"one": 3, "two": 3}


async def test_the_eleventh_connection_is_refused(playground: Playground) -> None:
    """Ten connections are all that an app may have."""
    async with aiohttp.ClientSession() as session:
        sockets = []
        for _ in range(11):
            ticket = playground.hub.sockets.issue_ticket()
            sockets.append(await session.ws_connect(f"{playground.base_url}/link?ticket={ticket}"))
        answers = [await receive(socket) for socket in sockets]
        assert [answer["type"] for answer in answers] == ["hello"] * 10 + ["disconnect"]
        assert answers[-1]["reason"] == "too_many_websockets"
        for socket in sockets:
            await socket.close()


async def test_a_ticket_works_once(playground: Playground) -> None:
    """A used or invented ticket opens nothing."""
    ticket = playground.hub.sockets.issue_ticket()
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{playground.base_url}/link?ticket={ticket}"):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{playground.base_url}/link?ticket={ticket}")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{playground.base_url}/link?ticket=invented")


async def test_a_refresh_loses_nothing(playground: Playground, recorder: Recorder) -> None:
    """Asked to come anew, the SDK reconnects and every message arrives exactly once."""
    for number in range(5):
        await playground.maya.say("general", f"before {number}")
    await playground.refresh_sockets()
    await playground.wait_for_connection()
    for number in range(5):
        await playground.maya.say("general", f"after {number}")
    await playground.wait_until(lambda: len(recorder.events("message")) == 10)

    assert len({event["text"] for event in recorder.events("message")}) == 10


async def test_only_the_app_token_opens_sockets(playground: Playground, client: AsyncWebClient) -> None:
    """The bot token does not, and the app token does nothing else."""
    wrong = client.apps_connections_open(app_token=playground.options.bot_token)
    assert await error_of(wrong) == "not_allowed_token_type"
    other = AsyncWebClient(token=playground.options.app_token, base_url=playground.api_url)
    assert await error_of(other.auth_test()) == "not_allowed_token_type"
    assert await error_of(AsyncWebClient(token="xoxb-x", base_url=playground.api_url).auth_test()) == "invalid_auth"
    assert await error_of(AsyncWebClient(base_url=playground.api_url).auth_test()) == "not_authed"
    assert await error_of(client.api_call("chat.nonsense")) == "unknown_method"
    assert await error_of(client.conversations_history(channel=LEADS)) == "channel_not_found"
    assert (await client.auth_test())["user_id"] == BOT
    assert (await client.conversations_info(channel=GENERAL))["channel"]["is_member"]
