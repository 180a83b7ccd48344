"""What Slack quotes below links counts only where all who read may read it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.playground.entities import Message
from bot.playground.messaging import post
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.people.directory import Directory
from bot.slack.people.quotes import drop_quoted, find_quoted
from bot.slack.schedule.digests import ChannelDigests
from bot.storage.tables import Audience
from tests.playground.conftest import build_client

GENERAL, LEADS, NORTHWIND = "C0GENERAL", "C0LEADS", "C0NORTHWIND"


def quoting(*places: str, **more: Any) -> dict[str, Any]:
    """Build a message with links to others."""
    quotations = [{"is_msg_unfurl": True, "channel_id": place, "text": f"said in {place}"} for place in places]
    return {"text": "see there", "attachments": [{**one, **more} for one in quotations]}


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
        read = await directory.readable(message, channel_id=here, audience=audience)

    assert [one["channel_id"] for one in read["attachments"]] == stays


async def test_where_guests_read_only_its_own_stay() -> None:
    """They may not read what is public; and what Slack does not tell of counts as private."""

    async def are_ours(_audience: Audience) -> bool:
        return False

    async with Playground() as playground:
        directory = Directory(Calls(build_client(playground)))
        known: dict[str, Any] = {"channel_id": "C0RANDOM", "audience": Audience.PUBLIC}
        with_guests = await directory.readable(quoting(GENERAL, "C0RANDOM"), **known, are_ours=are_ours)
        unseen = await directory.readable(quoting(LEADS, "C0NOWHERE"), **known)
        forwarded = await directory.readable(quoting(LEADS, is_share=True), **known)

    assert [one["channel_id"] for one in with_guests["attachments"]] == ["C0RANDOM"]
    assert unseen["attachments"] == []
    assert len(forwarded["attachments"]) == 1


async def test_a_summary_tells_nothing_of_what_is_quoted_of_a_private_channel() -> None:
    """Whoever has a channel summed up may not read what Slack shows below a link to those who may."""
    async with Playground() as playground:
        await playground.maya.invite(LEADS, "U0APPRENTICE")
        ts = playground.hub.workspace.next_ts(playground.hub.clock.now())
        post(playground.hub, Message(ts=ts, channel=GENERAL, user="U0PRIYA", **quoting(GENERAL, LEADS)))
        calls = Calls(build_client(playground))
        nobody: Any = None
        reader = ChannelDigests(calls, Directory(calls), nobody, nobody)
        heard = await reader.hear("C0GENERAL", since=datetime.fromtimestamp(0, UTC), until=datetime.now(UTC))

    assert heard.lines == ["Priya: see there > said in C0GENERAL"]
