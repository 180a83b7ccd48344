"""The page's API and WebSocket over real HTTP: what each person may see and do, and who is kept out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.testing import Playground
from tests.playground.conftest import GENERAL, LEADS, MAYA, PRIYA, SAM, TOM


@pytest.fixture
async def page(playground: Playground) -> AsyncIterator[aiohttp.ClientSession]:
    """Speak HTTP to the playground as a browser would."""
    headers = {"Origin": playground.base_url}
    async with aiohttp.ClientSession(playground.base_url, headers=headers) as session:
        yield session


async def get(page: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """Return a path's JSON."""
    async with page.get(path) as response:
        return dict(await response.json())


async def post(page: aiohttp.ClientSession, path: str, **values: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and JSON that a post gets."""
    async with page.post(path, json=values) as response:
        return response.status, dict(await response.json())


async def next_frame(live: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """Return the next frame of one type."""
    while (frame := await asyncio.wait_for(live.receive_json(), 5))["type"] != kind:
        pass
    return dict(frame)


async def test_state_is_what_one_person_sees(page: aiohttp.ClientSession) -> None:
    """Private channels, other people's DMs and, for guests, public channels are not there."""
    seen = {}
    for user in (MAYA, TOM, SAM):
        state = await get(page, f"/page/state?user={user}")
        assert state["me"]["id"] == user
        seen[user] = {channel["id"] for channel in state["channels"]}
    public = {GENERAL, "C0SUPPORT", "C0RANDOM", "C0NORTHWIND"}
    assert seen == {MAYA: {*public, LEADS, "D0MAYA"}, TOM: {*public, "D0TOM"}, SAM: {"D0SAM"}}


async def test_hidden_places_do_not_exist(playground: Playground, page: aiohttp.ClientSession) -> None:
    """Reading, writing and reacting where one may not look answers 404."""
    ts = await playground.maya.say(LEADS, "secret")
    async with page.get(f"/page/messages?user={TOM}&channel={LEADS}") as response:
        assert response.status == 404
        assert "secret" not in await response.text()
    for path, values in (
        ("/page/messages", {"text": "x"}),
        ("/page/reactions", {"ts": ts, "name": "eyes"}),
        ("/page/channels/join", {}),
        ("/page/open", {}),
        ("/page/commands", {"command": "/apprentice"}),
    ):
        status, answer = await post(page, path, user=TOM, channel=LEADS, **values)
        assert (status, "not open to you" in answer["error"]) == (404, True)


async def test_frames_go_to_those_who_may_see(
    playground: Playground, page: aiohttp.ClientSession, client: AsyncWebClient
) -> None:
    """Tom's page hears of the channel and of his own ephemeral, and of nothing private."""
    async with page.ws_connect(f"/page/live?user={TOM}") as live:
        await playground.maya.say(LEADS, "secret")
        await client.chat_postEphemeral(channel=GENERAL, user=PRIYA, text="for Priya")
        await client.chat_postEphemeral(channel=GENERAL, user=TOM, text="for Tom")
        await playground.maya.say("general", "for all")
        texts: list[str] = []
        while "for all" not in texts:
            texts.append((await next_frame(live, "message"))["message"]["text"])
    assert texts == ["for Tom", "for all"]


async def test_streams_arrive_in_pieces(
    playground: Playground, page: aiohttp.ClientSession, client: AsyncWebClient
) -> None:
    """The page gets a message, then appended text, then the whole message at the end."""
    channel = playground.maya.dm
    root = await playground.maya.say(channel, "x")
    async with page.ws_connect(f"/page/live?user={MAYA}") as live:
        ts = (await client.chat_startStream(channel=channel, thread_ts=root, markdown_text="a"))["ts"]
        await client.chat_appendStream(channel=channel, ts=ts, markdown_text="b")
        await client.chat_stopStream(channel=channel, ts=ts, markdown_text="c")
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1].get("session", {}).get("status") != "active":
            frames.append(await asyncio.wait_for(live.receive_json(), 5))
    grown = [frame["append"] for frame in frames if frame["type"] == "stream" and frame["ts"] == ts]
    shown = [frame["message"] for frame in frames if frame["type"] == "message" and frame["message"]["ts"] == ts]
    assert grown == ["b", "c"]
    assert (shown[0]["markdown_text"], shown[0]["streaming"]) == ("a", True)
    assert (shown[-1]["markdown_text"], shown[-1]["streaming"]) == ("abc", False)


async def test_channel_streams_grow_for_their_recipient(
    playground: Playground, page: aiohttp.ClientSession, client: AsyncWebClient
) -> None:
    """In a channel only the recipient sees the stream grow; the others see its start and its end, as in Slack."""
    root = await playground.maya.say("general", "x")
    recipient = {"recipient_team_id": "T0PLAYGRND", "recipient_user_id": MAYA}
    async with (
        page.ws_connect(f"/page/live?user={MAYA}") as mine,
        page.ws_connect(f"/page/live?user={TOM}") as other,
    ):
        started = await client.chat_startStream(channel=GENERAL, thread_ts=root, markdown_text="a", **recipient)
        await client.chat_appendStream(channel=GENERAL, ts=started["ts"], markdown_text="b")
        await client.chat_stopStream(channel=GENERAL, ts=started["ts"])
        seen: dict[str, list[str]] = {}
        for name, live in (("mine", mine), ("other", other)):
            seen[name] = []
            while (frame := await asyncio.wait_for(live.receive_json(), 5)).get("session", {}).get(
                "status"
            ) != "active":
                if frame["type"] == "stream":
                    seen[name].append(frame["append"])
                elif frame["type"] == "message" and frame["message"]["ts"] == started["ts"]:
                    seen[name].append(frame["message"]["markdown_text"])
    assert seen == {"mine": ["a", "b", "ab"], "other": ["a", "ab"]}


async def test_unread_counts(playground: Playground, page: aiohttp.ClientSession) -> None:
    """Others' messages are unread until one looks; mentions are counted apart."""
    await playground.maya.say("general", "one")
    await playground.maya.say("general", f"two <@{TOM}>")

    async def counts(user: str) -> tuple[int, int]:
        state = await get(page, f"/page/state?user={user}")
        general = next(channel for channel in state["channels"] if channel["id"] == GENERAL)
        return general["unread"], general["mentions"]

    assert (await counts(TOM), await counts(MAYA)) == ((2, 1), (0, 0))
    await post(page, "/page/open", user=TOM, channel=GENERAL)
    assert await counts(TOM) == (0, 0)


async def test_people_change_only_their_own(playground: Playground, page: aiohttp.ClientSession) -> None:
    """Editing and deleting others' messages is refused, but an admin may delete; one's own is marked as edited."""
    ts = await playground.maya.say("general", "one")
    target = {"channel": GENERAL, "ts": ts}
    async with page.patch("/page/messages", json={"user": TOM, "text": "x", **target}) as response:
        assert response.status == 403
    async with page.delete("/page/messages", json={"user": TOM, **target}) as response:
        assert response.status == 403
    async with page.patch("/page/messages", json={"user": MAYA, "text": "two", **target}) as response:
        assert response.status == 200
    (message,) = (await get(page, f"/page/messages?user={MAYA}&channel={GENERAL}"))["messages"]
    assert (message["text"], message["edited"]["user"]) == ("two", MAYA)
    theirs = {"channel": GENERAL, "ts": await playground.tom.say("general", "three")}
    async with page.patch("/page/messages", json={"user": MAYA, "text": "x", **theirs}) as response:
        assert response.status == 403
    async with page.delete("/page/messages", json={"user": MAYA, **theirs}) as response:
        assert response.status == 200


async def test_messages_come_in_pages(playground: Playground, page: aiohttp.ClientSession) -> None:
    """The latest come first, oldest on top, and `before` leads further back."""
    stamps = [await playground.maya.say("general", f"{number}") for number in range(5)]
    latest = await get(page, f"/page/messages?user={MAYA}&channel={GENERAL}&limit=2")
    assert ([message["ts"] for message in latest["messages"]], latest["has_more"]) == (stamps[3:], True)
    first = await get(page, f"/page/messages?user={MAYA}&channel={GENERAL}&limit=4&before={stamps[3]}")
    assert ([message["ts"] for message in first["messages"]], first["has_more"]) == (stamps[:3], False)


async def test_channels_come_and_people_go(page: aiohttp.ClientSession) -> None:
    """A new private channel is its members'; leaving it takes it away; a name is used once."""
    _, answer = await post(page, "/page/channels", user=MAYA, name="Road Map", private=True)
    channel = answer["channel"]["id"]
    assert answer["channel"]["name"] == "road-map"
    status, refused = await post(page, "/page/channels", user=TOM, name="road-map", private=False)
    assert (status, refused["error"]) == (400, "There is already a channel named #road-map.")
    await post(page, "/page/channels/invite", user=MAYA, channel=channel, invitee=TOM)
    async with page.ws_connect(f"/page/live?user={TOM}") as live:
        await post(page, "/page/channels/leave", user=TOM, channel=channel)
        assert (await next_frame(live, "channel_removed"))["channel"] == channel
    _, direct = await post(page, "/page/ims", user=MAYA, **{"with": TOM})
    assert direct["channel"]["user"] == TOM
    status, refused = await post(page, "/page/messages", user=SAM, channel=direct["channel"]["id"], text="x")
    assert status == 404


async def test_the_log_hides_tokens(page: aiohttp.ClientSession, client: AsyncWebClient) -> None:
    """Whatever is logged, a token in it is cut short."""
    await client.chat_postMessage(channel=GENERAL, text="my xoxb-1234-abcd and xapp-secret")
    text = str(await get(page, "/page/log?after=0"))
    assert "xoxb-…" in text
    assert "1234" not in text
    assert "xapp-secret" not in text


async def test_reset_brings_the_seed_back(playground: Playground, page: aiohttp.ClientSession) -> None:
    """After a reset nothing was ever said, and every page is told."""
    await playground.maya.say("general", "x")
    playground.fault("latency", seconds=9)
    async with page.ws_connect(f"/page/live?user={TOM}") as live:
        await post(page, "/page/reset")
        await next_frame(live, "reset")
    state = await get(page, f"/page/state?user={TOM}")
    assert [fault["name"] for fault in state["faults"] if fault["enabled"]] == ["stream_expiry"]
    assert playground.messages("general") == []


async def test_the_clock_moves_forwards(page: aiohttp.ClientSession) -> None:
    """The page can advance the clock, and only forwards."""
    _, answer = await post(page, "/page/clock", advance_s=3600)
    assert answer["clock"]["offset_s"] == pytest.approx(3600, abs=1)
    status, refused = await post(page, "/page/clock", advance_s=-1)
    assert (status, "only forwards" in refused["error"]) == (400, True)


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"Host": "evil.example"}, "/page/state?user=U0MAYA"),
        ({"Host": "evil.example"}, "/api/auth.test"),
        ({"Origin": "https://evil.example"}, "/page/state?user=U0MAYA"),
        ({"Origin": "null"}, "/page/live?user=U0MAYA"),
        ({"Origin": "http://127.0.0.1:1"}, "/api/auth.test"),
        ({"Sec-Fetch-Site": "cross-site"}, "/page/state?user=U0MAYA"),
    ],
)
async def test_other_sites_are_kept_out(playground: Playground, headers: dict[str, str], path: str) -> None:
    """Foreign hosts and origins get nothing, from the page's side or Slack's."""
    async with aiohttp.ClientSession() as session, session.get(playground.base_url + path, headers=headers) as response:
        assert response.status == 403


async def test_answers_are_bound_to_this_site(page: aiohttp.ClientSession) -> None:
    """Every answer, refusals too, carries the content security policy and is not cached."""
    for path, status in (("/health", 200), ("/nowhere", 404), ("/page/state?user=U0NOBODY", 404)):
        async with page.get(path) as response:
            assert response.status == status
            assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert response.headers["Cache-Control"] == "no-cache"


async def test_mistakes_get_a_sentence(page: aiohttp.ClientSession) -> None:
    """Malformed requests are refused with one sentence."""
    assert await post(page, "/page/messages", user="U0NOBODY", channel=GENERAL, text="x") == (
        404,
        {"error": "There is no such person in this workspace."},
    )
    assert await post(page, "/page/messages", user=MAYA, channel=GENERAL, text=" ") == (
        400,
        {"error": "Write something first."},
    )
    async with page.post("/page/messages", data="[") as response:
        assert (response.status, await response.json()) == (400, {"error": "The request is not JSON."})
