"""A signed request is taken once, and again only when it could not be handled."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.signature import SignatureVerifier
from sqlalchemy import select

from bot.slack.signed import LONGEST_S, PATIENCE_S, SIGNATURE, TIMESTAMP, Signed, Taken
from bot.storage.db import Database
from bot.storage.requests import prune_requests
from bot.storage.tables import Inbox, InboxState, now
from bot.web import build_web_app, serving

ORDER = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
EVENT = {"Content-Type": "application/json"}


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def headers(body: bytes, *, secret: str = "s3cret") -> dict[str, str]:
    """Sign a body as Slack does."""
    stamp = str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    return {TIMESTAMP: stamp, SIGNATURE: str(signature)}


async def test_once() -> None:
    """The same request again is known; another one is not; what could not be handled may come again."""
    gate, first, second = Signed("s3cret"), headers(b"one"), headers(b"two")

    assert gate.is_signed(first, b"one")
    assert not gate.is_signed(first, b"two")
    assert not gate.is_signed(headers(b"one", secret="other"), b"one")
    assert [await gate.is_first(one) for one in (first, first, second)] == [True, False, True]
    await gate.give_back(first)
    assert await gate.is_first(first)


async def test_nothing_is_remembered_for_longer_than_it_counts() -> None:
    """Memory is bounded by what comes in ten minutes."""
    clock = Clock()
    gate = Signed("s3cret", clock=clock)
    for number in range(100):
        assert await gate.is_first({SIGNATURE: f"v0={number}"})
        clock.now += 10

    assert len(gate._seen) <= LONGEST_S / 10 + 1


async def test_an_order_is_taken_by_one_process_alone(database: Database) -> None:
    """Of all that are on one database; what that one could not handle may come again, to either of them."""
    one, other = (Signed("s3cret", taken=Taken(database)) for _ in range(2))
    order, second, event = headers(b"one") | ORDER, headers(b"two") | ORDER, headers(b"three") | EVENT

    assert [await gate.is_first(event) for gate in (one, other)] == [True, True]
    assert sorted(await asyncio.gather(one.is_first(order), other.is_first(order))) == [False, True]
    assert [await gate.is_first(second) for gate in (one, other, other)] == [True, False, False]
    await one.give_back(second)
    assert await Signed("s3cret", taken=Taken(database)).is_first(second)
    async with database.begin() as session:
        rows = list(await session.scalars(select(Inbox)))
        assert {(row.state, str(row.payload)) for row in rows} == {(InboxState.DONE, "{}")}
        assert not any(order[SIGNATURE] in str(vars(row)) for row in rows)
        await prune_requests(session, before=now() + timedelta(seconds=1))
        assert not list(await session.scalars(select(Inbox)))


async def test_an_order_waits_for_no_database_that_is_away() -> None:
    """What it does may need none; then each process knows its own."""
    away = Database("postgresql+asyncpg://bot@127.0.0.1:1/none")
    gate, order = Signed("s3cret", taken=Taken(away)), headers(b"one") | ORDER
    began = time.monotonic()
    assert [await gate.is_first(order), await gate.is_first(order)] == [True, False]
    await gate.give_back(order)
    assert await gate.is_first(order)
    assert time.monotonic() - began < 4 * PATIENCE_S
    await away.close()


@pytest.mark.parametrize("called", [ORDER["Content-Type"], "text/plain", "Application/JSON", "application/json ;a", ""])
async def test_two_bots_carry_an_order_out_once(database: Database, called: str) -> None:
    """As where a proxy delivers one request to both; whoever comes second hears that it is done.

    What it is *called* then is not signed, and Bolt reads it all the same.
    """
    done = []

    async def count(ack: AsyncAck) -> None:
        await ack()
        done.append(1)

    async def is_fine() -> dict[str, bool]:
        return {"worker": True}

    body = b"command=%2Fapprentice&text=train+now&team_id=T1&user_id=U1&channel_id=C1"
    signed, statuses = headers(body), []
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        for content_type in (ORDER["Content-Type"], called):
            slack = AsyncApp(token="xoxb-x", request_verification_enabled=False, authorize=authorize)
            slack.command("/apprentice")(count)
            web_app = build_web_app(
                alive=is_fine, ready=is_fine, slack=(slack, Signed("s3cret", taken=Taken(database)))
            )
            port = await stack.enter_async_context(serving(web_app, host="127.0.0.1", port=0))
            url, sent = f"http://127.0.0.1:{port}/slack/events", signed | {"Content-Type": content_type}
            async with session.post(url, data=body, headers=sent) as response:
                statuses.append(response.status)
    assert statuses == [200, 200]
    assert done == [1]


async def authorize() -> AuthorizeResult:
    """Let everybody in."""
    return AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-x", bot_id="B1", bot_user_id="U0")
