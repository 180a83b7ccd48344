"""conversations.*, users.*, reactions.* and the small families: what the app can look up."""

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import slack_objects
from bot.playground.testing import Playground
from tests.playground.conftest import BOT, GENERAL, LEADS, MAYA, PRIYA, TOM, build_client, error_of


async def test_the_app_lists_what_it_may_know(playground: Playground, client: AsyncWebClient) -> None:
    """Public channels always, private ones only as a member, DMs its own."""
    listed = await client.conversations_list(types="public_channel,private_channel,im")
    assert {channel["id"] for channel in listed["channels"]} == {
        GENERAL,
        "C0SUPPORT",
        "C0RANDOM",
        "C0NORTHWIND",
        "D0MAYA",
        "D0TOM",
        "D0PRIYA",
        "D0SAM",
    }
    await playground.maya.invite(LEADS, BOT)
    private = await client.conversations_list(types="private_channel")
    assert [channel["name"] for channel in private["channels"]] == ["leads"]
    assert await error_of(client.conversations_list(types="secret")) == "invalid_types"


async def test_pages_follow_each_other(playground: Playground, client: AsyncWebClient) -> None:
    """The cursor leads through everything once."""
    for number in range(5):
        await playground.maya.say("general", f"message {number}")
    texts: list[str] = []
    async for page in await client.conversations_history(channel=GENERAL, limit=2):
        texts += [message["text"] for message in page["messages"]]
    assert texts == [f"message {number}" for number in (4, 3, 2, 1, 0)]
    users = [user["id"] async for page in await client.users_list(limit=2) for user in page["members"]]
    assert users == [MAYA, TOM, PRIYA, "U0SAM", "U0LENA", BOT]
    assert await error_of(client.conversations_history(channel=GENERAL, cursor="nonsense")) == "invalid_cursor"


async def test_history_can_be_cut(playground: Playground, client: AsyncWebClient) -> None:
    """oldest and latest bound the history, with the ends if asked."""
    one, two, three = [await playground.maya.say("general", word) for word in ("one", "two", "three")]
    between = await client.conversations_history(channel=GENERAL, oldest=one, latest=three)
    assert [message["ts"] for message in between["messages"]] == [two]
    whole = await client.conversations_history(channel=GENERAL, oldest=one, latest=three, inclusive=True)
    assert [message["ts"] for message in whole["messages"]] == [three, two, one]


async def test_a_thread_reads_from_its_root(playground: Playground, client: AsyncWebClient) -> None:
    """Replies come oldest first; history has only the root, with its counts."""
    root = await playground.maya.say("general", "root")
    replies = [await playground.tom.say("general", f"reply {number}", root) for number in range(2)]
    thread = await client.conversations_replies(channel=GENERAL, ts=root)
    assert [message["ts"] for message in thread["messages"]] == [root, *replies]
    assert thread["messages"][1]["parent_user_id"] == MAYA
    (top,) = (await client.conversations_history(channel=GENERAL))["messages"]
    assert (top["reply_count"], top["latest_reply"]) == (2, replies[-1])
    assert await error_of(client.conversations_replies(channel=GENERAL, ts="1.1")) == "thread_not_found"


async def test_direct_messages_can_be_opened(playground: Playground, client: AsyncWebClient) -> None:
    """Opening a known DM finds it; opening one with several people makes it."""
    known = await client.conversations_open(users=MAYA)
    assert (known["channel"]["id"], known["already_open"]) == (playground.maya.dm, True)
    group = await client.conversations_open(users=[MAYA, TOM], return_im=True)
    assert group["channel"]["is_mpim"]
    assert await error_of(client.conversations_open(users="U0NOBODY")) == "user_not_found"
    posted = await client.chat_postMessage(channel=MAYA, text="to your DM")
    assert posted["channel"] == playground.maya.dm


async def test_people_are_described(playground: Playground, client: AsyncWebClient) -> None:
    """users.info tells name, zone and role; unknown ids are refused."""
    maya = (await client.users_info(user=MAYA, include_locale=True))["user"]
    assert (maya["real_name"], maya["is_admin"], maya["locale"]) == ("Maya Chen", True, "en-GB")
    assert (await client.users_info(user="U0PRIYA"))["user"]["tz_offset"] == 19_800
    assert (await client.users_info(user="U0SAM"))["user"]["is_restricted"]
    playground.hub.workspace.users["U0SAM"].is_single_channel = True
    assert (await client.users_info(user="U0SAM"))["user"]["is_ultra_restricted"]
    lena = (await client.users_info(user="U0LENA"))["user"]
    assert (lena["team_id"], lena["profile"]["team"], lena["is_stranger"]) == ("T0NORTHWND", "T0NORTHWND", False)
    assert await error_of(client.users_info(user="U0NOBODY")) == "user_not_found"
    bot = (await client.bots_info(bot="B0APPRENTICE"))["bot"]
    assert bot["user_id"] == BOT
    assert (await client.team_info())["team"]["id"] == "T0PLAYGRND"
    assert (await client.conversations_members(channel=GENERAL))["members"] == [MAYA, TOM, PRIYA, BOT]


async def test_reactions(playground: Playground, client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reaction is added once, shown, and removed once."""
    ts = await playground.maya.say("general", "x")
    target = {"channel": GENERAL, "timestamp": ts}
    await client.reactions_add(name="eyes", **target)
    await playground.maya.react("general", ts, "eyes")
    assert await error_of(client.reactions_add(name="eyes", **target)) == "already_reacted"
    shown = (await client.reactions_get(**target))["message"]["reactions"]
    assert shown == [{"name": "eyes", "users": [BOT, MAYA], "count": 2}]
    monkeypatch.setattr(slack_objects, "MOST_NAMED", 1)
    for full, users in ((False, [BOT]), (True, [BOT, MAYA])):
        shown = (await client.reactions_get(full=full, channel=GENERAL, timestamp=ts))["message"]["reactions"]
        assert shown == [{"name": "eyes", "users": users, "count": 2}], "Slack names some of many unless asked for all"
    await client.reactions_remove(name="eyes", **target)
    assert await error_of(client.reactions_remove(name="eyes", **target)) == "no_reaction"
    assert await error_of(client.reactions_add(name="not an emoji", **target)) == "invalid_name"
    assert await error_of(client.reactions_add(name="eyes", channel=GENERAL, timestamp="x")) == "bad_timestamp"


@pytest.mark.parametrize(
    ("scopes", "method", "needed"),
    [
        (["chat:write"], "reactions.get", "reactions:read"),
        (["chat:write"], "conversations.history", "channels:history"),
        (["channels:read"], "chat.postMessage", "chat:write"),
    ],
)
async def test_a_manifest_bounds_the_scopes(scopes: list[str], method: str, needed: str) -> None:
    """A method beyond the manifest's scopes says what it needs and what there is."""
    manifest = {"oauth_config": {"scopes": {"bot": scopes}}, "settings": {}}
    async with Playground(manifest=manifest) as playground:
        response = build_client(playground).api_call(method, json={"channel": GENERAL})
        assert await error_of(response) == "missing_scope"
        assert playground.log("api", method)[0]["response"]["needed"] == needed


async def test_a_manifest_bounds_commands_and_events() -> None:
    """Only declared commands exist, and only subscribed events are sent."""
    manifest = {
        "display_information": {"name": "Helper"},
        "features": {"slash_commands": [{"command": "/help-me", "description": "Help"}]},
        "settings": {"event_subscriptions": {"bot_events": ["app_mention"]}},
    }
    async with Playground(manifest=manifest) as playground:
        await playground.maya.say("general", f"hi <@{BOT}>")
        assert [entry["name"] for entry in playground.log("event")] == ["app_mention"]
        assert playground.hub.app_state()["name"] == "Helper"
        assert (await playground.maya.command("/apprentice"))["ok"] is False
        answer = await build_client(playground).agents_sessions_setStatus(
            channel_id=GENERAL, thread_ts=playground.messages("general")[0]["ts"], status="processing"
        )
        assert answer["warning"] == "missing_agent_session_stopped_event_subscription"
