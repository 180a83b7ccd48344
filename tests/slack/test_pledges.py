"""Orders that take longer than Slack waits are in the inbox before they are acknowledged, until they are done."""

import asyncio
from typing import Any

import pytest
from slack_bolt import BoltResponse
from slack_bolt.request.async_request import AsyncBoltRequest
from sqlalchemy import select

from bot.slack import listeners, pledges
from bot.slack.listeners import Endings, Listeners, acknowledge_done
from bot.slack.turns.duty import Duty
from bot.storage import inbox, workers
from bot.storage.db import Database
from bot.storage.hold import Hold, Released, until_sure
from bot.storage.tables import Inbox, InboxState

COMMAND = {"command": "/apprentice", "user_id": "U1", "team_id": "T1", "channel_id": "C1", "text": "ask a secret"}
PRESS = {"type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "channel": None}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything take long."""
    monkeypatch.setattr(listeners, "PATIENCE_S", 0.05)


async def stored(database: Database) -> list[Inbox]:
    """Return what is in the inbox."""
    async with database.read() as session:
        return list(await session.scalars(select(Inbox)))


class Order:
    """An order as Bolt has it carried out: it begins, is acknowledged, and ends."""

    def __init__(self, database: Database, body: dict[str, Any], *, hold: Hold) -> None:
        self._database = database
        self._request: Any = AsyncBoltRequest(body="", mode="socket_mode")
        self._request.body = body
        self._heard = Listeners(database, lambda: hold)
        self.at_ack: list[Inbox] = []
        self.goes_on = asyncio.Event()

    async def ack(self) -> BoltResponse:
        """Look what is written down."""
        self.at_ack = await stored(self._database)
        return BoltResponse(status=200)

    async def begin(self) -> asyncio.Task[str]:
        """Let it be acknowledged while it is under way."""
        running = asyncio.create_task(self.run())
        while not self.at_ack:  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)
        return running

    async def run(self) -> str:
        """Take the way of every listener."""

        async def work() -> str:
            await self.goes_on.wait()
            await until_sure()
            async with self._database.begin():
                return "done"

        ack: Any = self.ack
        await self._heard.handle(self._request, None)
        try:
            return await acknowledge_done(ack, work())
        finally:
            await Endings().handle(self._request, None)


@pytest.mark.parametrize("body", [COMMAND, PRESS])
async def test_what_takes_long_is_written_down_until_it_is_done(database: Database, body: dict[str, Any]) -> None:
    """It says who gave it, and nothing of what they wrote; what ends sooner leaves nothing."""
    duty = Duty(database, place="here")
    await duty.begin()
    order = Order(database, body, hold=duty.hold)
    running = await order.begin()
    order.goes_on.set()
    quick = Order(database, body, hold=duty.hold)
    quick.goes_on.set()

    assert await running == "done"
    assert await quick.run() == "done"
    (row,) = order.at_ack
    assert (row.kind, row.state, row.worker_id) == (pledges.CUT, InboxState.RUNNING, duty.hold.worker_id)
    assert row.payload == {"user_id": "U1"}
    assert quick.at_ack == []
    assert await stored(database) == []


async def test_what_a_process_left_waits_for_the_next(database: Database) -> None:
    """Whether it was killed, or stopped before it could say so."""
    duty = Duty(database, place="here")
    await duty.begin()
    order = Order(database, PRESS, hold=duty.hold)
    running = await order.begin()
    async with database.read() as session:
        assert await inbox.find_ready(session, limit=10) == []
    running.cancel()
    await asyncio.wait([running])
    await Duty(database, place="here").begin()

    async with database.begin() as session:
        ((row,),) = await inbox.claim_ready(session, limit=10, worker_id="two")
        assert row.kind == pledges.CUT


async def test_whoever_only_slept_goes_on_with_nothing_that_another_has_taken(database: Database) -> None:
    """It neither writes nor speaks, and takes nothing back that the other one tells; before it is written it may."""
    duty = Duty(database, place="here")
    await duty.begin()
    order = Order(database, COMMAND, hold=duty.hold)
    running = await order.begin()
    other = Duty(database, place="there")
    async with database.begin() as session:
        assert await workers.dismiss(session, duty.hold.worker_id, beats=0)
    await other.begin()
    order.goes_on.set()
    with pytest.raises(Released):
        await running

    (row,) = await stored(database)
    assert (row.kind, row.state) == (pledges.CUT, InboxState.PENDING)
    unwritten = Order(database, COMMAND, hold=duty.hold)
    unwritten.goes_on.set()
    assert await unwritten.run() == "done"


async def test_events_owe_nothing(database: Database) -> None:
    """A message has its own row."""
    assert pledges.read_pledge(database, {"event": {"user": "U1"}, "team_id": "T1"}, hold=Hold("one")) is None
    assert pledges.read_pledge(database, {"user": ["U1"], "team": "T1"}, hold=Hold("one")) is None
