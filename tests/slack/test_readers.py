"""Who reads along: guests and other organisations keep out what is for members alone, as soon as within a minute."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.membership import join, leave
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.people.access import Access, Home
from bot.slack.people.directory import Directory
from bot.slack.people.readers import FRESH_S, STEADY_S, Readers
from bot.slack.people.rooms import Rooms
from bot.storage.db import Database
from bot.storage.schedule_tables import Kind, Schedule
from bot.storage.tables import Audience
from tests.playground.conftest import GENERAL, MAYA, SAM, SUPPORT, build_client

SHARED = "C0NORTHWIND"


class Clock:
    """Time that a test moves."""

    at = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[tuple[Readers, Playground, Clock]]:
    """Ask a real workspace over a real socket."""
    clock = Clock()
    async with Playground() as playground:
        calls = Calls(build_client(playground))
        access = Access(database, Directory(calls), owners=frozenset(), home=Home("T0PLAYGRND"))
        yield Readers(calls, access, now=clock), playground, clock


async def test_members_among_themselves_may_know_what_is_public(scene: tuple[Readers, Playground, Clock]) -> None:
    """In a channel of members and in direct messages of one; not for a guest, nor where another company reads."""
    readers, _, _ = scene

    assert await readers.are_ours(MAYA, GENERAL, Audience.PUBLIC)
    assert await readers.are_ours(MAYA, "D0MAYA", Audience.DIRECT)
    assert not await readers.are_ours(SAM, "D0SAM", Audience.DIRECT)
    assert not await readers.are_ours(MAYA, SHARED, Audience.SHARED)
    assert not await readers.are_ours(MAYA, SHARED, Audience.PUBLIC)  # nobody told yet that it is shared
    assert not await readers.are_ours(MAYA, "C0UNKNOWN", Audience.PUBLIC)


async def test_a_guest_who_comes_or_goes_counts_within_a_minute(scene: tuple[Readers, Playground, Clock]) -> None:
    """Whoever is brought in is seen by the next minute, and whoever has left is forgotten by then."""
    readers, playground, clock = scene
    channel = playground.hub.workspace.channels[SUPPORT]
    assert await readers.are_ours(MAYA, SUPPORT, Audience.PUBLIC)
    join(playground.hub, channel, user=SAM)
    clock.at += FRESH_S
    assert not await readers.are_ours(MAYA, SUPPORT, Audience.PUBLIC)
    leave(playground.hub, channel, user=SAM)
    clock.at += FRESH_S
    assert await readers.are_ours(MAYA, SUPPORT, Audience.PUBLIC)


async def test_a_digest_of_other_channels_is_not_told_to_guests(scene: tuple[Readers, Playground, Clock]) -> None:
    """What members say in one public channel is told in another only as long as no guest reads there."""
    readers, playground, _ = scene
    wanted = Schedule(
        user_id=MAYA, team_id="T0PLAYGRND", channel_id=SUPPORT, source_id=GENERAL, kind=Kind.DIGEST, text=""
    )
    refusals = []
    for is_guest_there in (False, True):
        if is_guest_there:
            join(playground.hub, playground.hub.workspace.channels[SUPPORT], user=SAM)
        rooms = Rooms(readers.calls, readers.access)
        refusals.append(await rooms.find_refusal(wanted))

    assert refusals[0] == ""
    assert "Guests" in refusals[1]


async def test_slack_is_asked_once_a_minute_and_its_silence_is_no(scene: tuple[Readers, Playground, Clock]) -> None:
    """Many questions in a channel ask Slack once; while it is away, nobody is taken for a member."""
    readers, playground, clock = scene
    for _ in range(20):
        assert await readers.are_ours(MAYA, GENERAL, Audience.PUBLIC)
    assert len(playground.log("api", "conversations.members")) == 1
    assert len(playground.log("api", "users.list")) == 1
    playground.fault("missing_method", methods="conversations.members", error="missing_scope")
    clock.at += STEADY_S

    assert not await readers.are_ours(MAYA, GENERAL, Audience.PUBLIC)


async def test_a_moments_silence_is_no_for_a_minute(scene: tuple[Readers, Playground, Clock]) -> None:
    """Who is a guest is asked once in ten minutes, but again within one where Slack did not tell."""
    readers, playground, clock = scene
    playground.fault("missing_method", methods="users.list", error="invalid_auth", times=1)
    assert not await readers.are_ours(MAYA, GENERAL, Audience.PUBLIC)
    clock.at += FRESH_S - 1
    assert not await readers.are_ours(MAYA, GENERAL, Audience.PUBLIC)
    clock.at += 1
    assert await readers.are_ours(MAYA, GENERAL, Audience.PUBLIC)


async def test_an_answer_without_people_is_no_answer(database: Database) -> None:
    """Slack says ok and no more: then nobody is known to be alone with members."""

    async def answer(request: web.Request) -> web.Response:
        asked = request.match_info["method"]
        user = {"id": MAYA, "team_id": "T0PLAYGRND"}
        known: dict[str, dict[str, Any]] = {"users.info": {"user": user}, "users.list": {"members": [user]}}
        return web.json_response({"ok": True, **known.get(asked, {})})

    app = web.Application()
    app.router.add_route("*", "/api/{method}", answer)
    async with TestServer(app) as server:
        calls = Calls(AsyncWebClient("xoxb-x", base_url=str(server.make_url("/api/")), retry_handlers=[]))
        access = Access(database, Directory(calls), owners=frozenset(), home=Home("T0PLAYGRND"))

        assert await access.is_ours(MAYA)
        assert not await Readers(calls, access).are_ours(MAYA, GENERAL, Audience.PUBLIC)
