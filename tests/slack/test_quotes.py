"""What Slack quotes below links counts only where all who read may read it."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bot.errors import DeliveryError
from bot.playground.entities import Message
from bot.playground.messaging import post
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.people.access import Access, Home
from bot.slack.people.directory import Directory
from bot.slack.people.quotes import drop_quoted, find_quoted
from bot.slack.people.rooms import Rooms
from bot.slack.schedule.digests import ChannelDigests
from bot.storage.db import Database
from bot.storage.tables import Audience
from tests.playground.conftest import build_client

GENERAL, LEADS, NORTHWIND = "C0GENERAL", "C0LEADS", "C0NORTHWIND"


def quoting(*places: str, **more: Any) -> dict[str, Any]:
    """Build a message with links to others."""
    quotations = [{"is_msg_unfurl": True, "channel_id": place, "text": f"said in {place}"} for place in places]
    return {"text": "see there", "attachments": [{**one, **more} for one in quotations]}


async def among_members(_audience: Audience) -> bool:
    """Say that only members read along."""
    return True


@pytest.mark.parametrize("attachments", [None, "x", [None, 7], [{}], [{"text": "a card of another app"}]])
def test_what_is_no_quotation_stays(attachments: Any) -> None:
    """Cards, and whatever else stands there."""
    message = {"text": "hi", "attachments": attachments}

    assert not find_quoted(message, GENERAL)
    assert drop_quoted(message, find_quoted(message, GENERAL)) is message


def test_one_that_names_no_place_is_of_elsewhere() -> None:
    """Nobody knows who may read it."""
    message = {"text": "hi", "attachments": [{"is_msg_unfurl": True, "text": "x"}, {"text": "a card"}]}

    assert drop_quoted(message, find_quoted(message, GENERAL))["attachments"] == [{"text": "a card"}]


@pytest.mark.parametrize(
    ("here", "audience", "stays"),
    [
        (GENERAL, Audience.PUBLIC, [GENERAL]),
        (LEADS, Audience.PRIVATE, [GENERAL, LEADS]),
        ("C0RANDOM", Audience.PUBLIC, [GENERAL]),
        (NORTHWIND, Audience.SHARED, [NORTHWIND]),
        ("D0PRIYA", Audience.DIRECT, [GENERAL, LEADS, NORTHWIND]),
    ],
)
async def test_quotations_stay_among_those_who_may_read_them(here: str, audience: Audience, stays: list[str]) -> None:
    """A private channel's nowhere else, and nothing where another company reads; all with whoever is alone."""
    async with Playground() as playground:
        await playground.maya.invite(LEADS, "U0APPRENTICE")
        directory = Directory(Calls(build_client(playground)))
        message = quoting(GENERAL, LEADS, NORTHWIND)
        read = await directory.readable(message, channel_id=here, audience=audience, are_ours=among_members)

    assert [one["channel_id"] for one in read["attachments"]] == stays


async def test_where_guests_read_only_its_own_stay() -> None:
    """They may not read what is public; and what Slack does not tell of counts as private."""

    async def with_others(_audience: Audience) -> bool:
        return False

    async def nobody_knows(_audience: Audience) -> bool:
        raise DeliveryError(is_passing=True)

    async with Playground() as playground:
        directory = Directory(Calls(build_client(playground)))
        known: dict[str, Any] = {"channel_id": "C0RANDOM", "audience": Audience.PUBLIC}
        here = quoting(GENERAL, "C0RANDOM")
        read = [await directory.readable(here, **known, are_ours=who) for who in (with_others, nobody_knows)]
        unseen = await directory.readable(quoting(LEADS, "C0NOWHERE"), **known, are_ours=among_members)
        forwarded = await directory.readable(quoting(LEADS, is_share=True), **known, are_ours=with_others)

    assert [[one["channel_id"] for one in message["attachments"]] for message in read] == [["C0RANDOM"]] * 2
    assert unseen["attachments"] == []
    assert len(forwarded["attachments"]) == 1


@pytest.mark.parametrize("has_guest", [False, True])
async def test_a_summary_tells_nothing_of_what_is_quoted_of_a_private_channel(
    *, has_guest: bool, database: Database
) -> None:
    """Whoever has a channel summed up may not read what Slack shows below a link to those who may."""
    async with Playground() as playground:
        if has_guest:
            playground.hub.workspace.channels["C0RANDOM"].members.append("U0SAM")
        await playground.maya.invite(LEADS, "U0APPRENTICE")
        ts = playground.hub.workspace.next_ts(playground.hub.clock.now())
        post(playground.hub, Message(ts=ts, channel="C0RANDOM", user="U0PRIYA", **quoting(GENERAL, LEADS)))
        calls, nobody = Calls(build_client(playground)), cast("Any", None)
        directory = Directory(calls)
        rooms = Rooms(calls, Access(database, directory, owners=frozenset(), home=Home("T0PLAYGRND")))
        reader = ChannelDigests(calls, directory, nobody, nobody, rooms, database=database)
        heard = await reader.hear("C0RANDOM", since=datetime.fromtimestamp(0, UTC), until=datetime.now(UTC))

    assert heard.lines == ["Priya: see there" if has_guest else "Priya: see there > said in C0GENERAL"]


async def test_a_digest_has_what_was_said_in_older_threads(database: Database) -> None:
    """A discussion goes on over the hour of a digest; what nobody went on with since is told no second time."""
    async with Playground() as playground:
        maya = playground.maya
        roots = [await maya.say("random", text) for text in ("Shall we stop it?", "Lunch?")]
        await maya.say("random", "Pizza.", thread_ts=roots[1])
        since = datetime.fromtimestamp(float(playground.messages("random", roots[1])[-1]["ts"]) + 0.0001, UTC)
        await playground.tom.say("random", "We stop it, decided by all.", thread_ts=roots[0])
        calls, nobody = Calls(build_client(playground)), cast("Any", None)
        directory = Directory(calls)
        rooms = Rooms(calls, Access(database, directory, owners=frozenset(), home=Home("T0PLAYGRND")))
        heard = await ChannelDigests(calls, directory, nobody, nobody, rooms, database=database).hear(
            "C0RANDOM", since=since, until=since + timedelta(minutes=5)
        )

    assert heard.lines == ["Tom: We stop it, decided by all."]
    assert heard.busiest == [(roots[0], 1)]
